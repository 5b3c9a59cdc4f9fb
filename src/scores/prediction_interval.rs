//! Where a further number of the same kind lies.

use super::student::student;

/// The two numbers between which a further one lies with a probability of about 1 - `share` or, in small samples, more, with as
/// much on either side. `ascending`
/// is a sample of at least two, in ascending order.
///
/// Of so many that the two lie within the sample, they are the quantiles at the places (n + 1) `share` / 2 of n from both
/// ends, on the line between neighbours (Weibull's): n numbers cut the line in n + 1 pieces, in each of which a further one lies as
/// probably. Of fewer they are Student's interval for a further number of a normal distribution, but never within the sample.
///
/// # Panics
/// If there are fewer than two numbers, or the share is not above 0 and below 1.
#[track_caller]
pub fn prediction_interval(ascending: &[f64], share: f64) -> [f64; 2] {
    let n = ascending.len();
    assert!(n > 1 && share > 0.0 && share < 1.0, "all but {share} of {n} numbers");
    debug_assert!(ascending.is_sorted(), "numbers in ascending order");
    let (count, last) = (n as f64, n - 1);
    let place = (count + 1.0) * share / 2.0 - 1.0;
    if place >= 0.0 {
        let (whole, part) = ((place.floor() as usize).min(last - 1), place.fract());
        let between = |from: f64, to: f64| from + (to - from) * part;
        return [
            between(ascending[whole], ascending[whole + 1]),
            between(ascending[last - whole], ascending[last - whole - 1]),
        ];
    }
    let mean = ascending.iter().sum::<f64>() / count;
    let squares: f64 = ascending.iter().map(|x| (x - mean) * (x - mean)).sum();
    let reach = student(count - 1.0, 1.0 - share) * (squares / (count - 1.0) * (1.0 + 1.0 / count)).sqrt();
    [ascending[0].min(mean - reach), ascending[last].max(mean + reach)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    fn close(found: [f64; 2], expected: [f64; 2]) {
        let near = |(a, b): (f64, f64)| (a - b).abs() <= 1e-10 * b.abs();
        assert!(found.into_iter().zip(expected).all(near), "{found:?}, expected {expected:?}");
    }

    /// `numpy.quantile(numbers, [q, 1 - q], method="weibull")` of NumPy 2.4.6.
    #[test]
    fn of_many_it_is_weibulls_quantiles() {
        let squares: Vec<f64> = (0..250).map(|i| f64::from(i * i)).collect();
        close(prediction_interval(&squares, 0.01), [0.255, 61_874.265]);
        close(prediction_interval(&squares[..199], 0.01), [0.0, 198.0 * 198.0]);
        close(prediction_interval(&[-9.75, -3.3, -3.3, 0.1, 0.7, 2.0, 1e3], 0.6), [-3.3, 1.48]);
    }

    /// `stats.t.interval(0.99, n - 1, mean, s * sqrt(1 + 1 / n))` of SciPy 1.17.1.
    #[test]
    fn of_few_it_is_students() {
        close(
            prediction_interval(&[-70.0, -30.0, -20.0, -10.0, 5.0], 0.01),
            [-167.652_662_088_779_98, 117.652_662_088_779_98],
        );
        close(prediction_interval(&[3.0, 4.0], 0.01), [-51.628_354_969_177_31, 58.628_354_969_177_31]);
        assert_eq!(prediction_interval(&[4.5; 3], 0.01), [4.5; 2]);
        // A number far off is still within.
        let mut far = vec![0.0; 150];
        far.push(100.0);
        let [low, high] = prediction_interval(&far, 0.01);
        assert!(high == 100.0 && low < -20.0, "{low} to {high}");
    }

    #[test]
    fn a_further_number_is_outside_as_often_as_said() {
        for count in [5, 50, 198, 199, 400] {
            let draws: u64 = 20_000;
            let mut outside = 0;
            for draw in 0..draws {
                let mut numbers = vec![0.0; count + 1];
                Stream::new(4, "normal", &[count as u64, draw]).fill_normal(0, &mut numbers);
                let further = f64::from(numbers[count]);
                let mut sample: Vec<f64> = numbers[..count].iter().copied().map(f64::from).collect();
                sample.sort_by(f64::total_cmp);
                let [low, high] = prediction_interval(&sample, 0.01);
                outside += u32::from(further < low || further > high);
            }
            let share = f64::from(outside) / draws as f64;
            assert!((0.005..0.013).contains(&share), "{share} of {count}");
        }
    }

    #[test]
    #[should_panic(expected = "all but 0.5 of 1 numbers")]
    fn one_number_has_no_interval() {
        prediction_interval(&[1.0], 0.5);
    }
}
