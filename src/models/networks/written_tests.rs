//! Written networks, computed as their equations say, in f64, against those of the tape.

use crate::autograd::{Builder, Engine, Params, Role, Tape};
use crate::models::{Kl, LatentVariableModel, LogitLayout, Model, ModelKind, Networks, Settings};
use crate::nn::{Writer, Written, WrittenConvolution};
use crate::rng::Stream;
use crate::tensor::Tensor;

/// Every pixel of (rows, columns, channels) twice, across and down.
fn upsampled(x: &[f64], [rows, columns, channels]: [usize; 3]) -> Vec<f64> {
    let pixel = |r: usize, c: usize| &x[(r / 2 * columns + c / 2) * channels..][..channels];
    (0..2 * rows).flat_map(|r| (0..2 * columns).flat_map(move |c| pixel(r, c))).copied().collect()
}

fn convolved(layer: &WrittenConvolution, x: &[f64]) -> Vec<f64> {
    let WrittenConvolution { input, output, kernel, stride, padding, .. } = layer;
    let enlarged;
    let (x, height, width) = match layer.is_upsampled {
        true => {
            enlarged = upsampled(x, *input);
            (&enlarged[..], 2 * input[0], 2 * input[1])
        }
        false => (x, input[0], input[1]),
    };
    let ([rows, columns, outputs], inputs) = (*output, input[2]);
    assert_eq!(x.len(), height * width * inputs);
    let mut y = vec![0.0; rows * columns * outputs];
    let (small, large) = match layer.is_transposed {
        true => ([height, width], [rows, columns]),
        false => ([rows, columns], [height, width]),
    };
    for r in 0..small[0] {
        for c in 0..small[1] {
            for u in 0..*kernel {
                for v in 0..*kernel {
                    let [row, column] = [stride * r + u, stride * c + v].map(|at| at.wrapping_sub(*padding));
                    if row >= large[0] || column >= large[1] {
                        continue;
                    }
                    let (in_small, in_large) = (r * small[1] + c, row * large[1] + column);
                    let (from, to) =
                        if layer.is_transposed { (in_small, in_large) } else { (in_large, in_small) };
                    for i in 0..inputs {
                        for o in 0..outputs {
                            let weight = layer.weight[((u * kernel + v) * inputs + i) * outputs + o];
                            y[to * outputs + o] += x[from * inputs + i] * f64::from(weight);
                        }
                    }
                }
            }
        }
    }
    for (place, y) in y.iter_mut().enumerate() {
        let o = place % outputs;
        let scale = layer.scale.as_ref().map_or(1.0, |scale| f64::from(scale[o]));
        *y = rectified(scale * *y + f64::from(layer.shift[o]), layer.slope);
    }
    if !layer.is_pooled {
        return y;
    }
    let at = |r: usize, c: usize, o: usize| y[(r * columns + c) * outputs + o];
    let largest = |r: usize, c: usize, o: usize| {
        let four = [(0, 0), (0, 1), (1, 0), (1, 1)].map(|(down, across)| at(2 * r + down, 2 * c + across, o));
        four.into_iter().fold(f64::MIN, f64::max)
    };
    let pixels = (0..rows / 2).flat_map(|r| (0..columns / 2).map(move |c| (r, c)));
    pixels.flat_map(|(r, c)| (0..outputs).map(move |o| (r, c, o))).map(|(r, c, o)| largest(r, c, o)).collect()
}

fn rectified(x: f64, slope: f32) -> f64 {
    if x < 0.0 { x * f64::from(slope) } else { x }
}

fn through(layers: &[Written], x: &[f32]) -> Vec<f64> {
    layers.iter().fold(x.iter().map(|&x| f64::from(x)).collect(), |x: Vec<f64>, layer| match layer {
        Written::Convolution(convolution) => convolved(convolution, &x),
        Written::Residual { branch, skip, times, slope } => {
            let y = convolved(&branch[1], &convolved(&branch[0], &x));
            let skipped = skip.as_ref().map_or_else(|| x.clone(), |skip| convolved(skip, &x));
            let sums = y.iter().zip(skipped).map(|(y, skip)| f64::from(*times) * y + skip);
            sums.map(|sum| rectified(sum, *slope)).collect()
        }
        Written::Rectify { slope } => x.into_iter().map(|x| rectified(x, *slope)).collect(),
    })
}

/// A narrow model, every number of which is away from where it starts.
fn narrow(kind: ModelKind, networks: Networks, image: [usize; 3]) -> (Model, Params) {
    let settings = Settings {
        kind,
        networks,
        image,
        encoder_width: 0.1,
        decoder_width: 0.1,
        latent: 5,
        domains: 3,
        classes: 4,
        logits: LogitLayout::PerPixel,
        kl: Kl::Sampled,
        prior_y: vec![0.25; 4],
    };
    let mut params = Params::new();
    let model = Model::new(&mut Builder::new(&mut params, 8), settings);
    for (place, param) in params.handles().enumerate() {
        let entry = params.entry(param);
        if entry.role == Role::Statistic || entry.shape.rank() == 1 {
            let from = if entry.role == Role::Statistic { 0.2 } else { -0.7 };
            Stream::new(9, "numbers", &[place as u64]).fill_uniform(from, 0.9, params.get_mut(param));
        }
    }
    (model, params)
}

#[track_caller]
fn assert_close(found: &[f64], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(0.0, |most: f32, x| most.max(x.abs()));
    for (i, (&found, &expected)) in found.iter().zip(expected).enumerate() {
        let off = (found - f64::from(expected)).abs();
        assert!(off < 2e-5 * f64::from(largest), "{what}, number {i}: {found}, expected {expected}");
    }
    let differ = expected.iter().filter(|&&x| x != expected[0]).count();
    assert!(differ * 2 > expected.len() && largest > 0.0, "{what}: nearly all numbers are alike");
}

#[test]
fn written_networks_are_those_of_the_tape() {
    for (kind, networks, image, latents) in [
        (ModelKind::Diva, Networks::Lenet, [28, 28, 1], 15),
        (ModelKind::Vae, Networks::Lenet, [28, 28, 1], 15),
        (ModelKind::Diva, Networks::Resnet, [32, 32, 3], 15),
        (ModelKind::DivaNoZx, Networks::Resnet, [16, 16, 1], 10),
    ] {
        let (model, params) = narrow(kind, networks, image);
        let model_name = format!("{kind:?} of {networks:?}");
        let variables: &dyn LatentVariableModel = model.latent_variables().unwrap();
        let engine = Engine::new();
        let tape = Tape::inference(&engine, &params);
        let mut z = Tensor::zeros([1, latents]);
        Stream::new(10, "z", &[]).fill_uniform(-2.0, 2.0, z.data_mut());
        let found = through(&variables.decoder().written(latents, &params), z.data());
        let expected = match variables.decoder() {
            super::Decoder::Lenet(decoder, _) => decoder.forward(tape.input(&z)),
            super::Decoder::Resnet(decoder) => decoder.mixtures(tape.input(&z)).parameters,
        };
        assert_close(&found, &expected.read(<[f32]>::to_vec), &model_name);

        let mut x = vec![0.0; image.iter().product()];
        Stream::new(11, "x", &[]).fill_uniform(0.0, 1.0, &mut x);
        let mut writer = Writer::new(image, &params);
        variables.class_stages().iter().for_each(|stage| writer.stage(stage));
        let mut expected = vec![f32::NAN; 4];
        model.class_predictor(&params).logits(&x, &mut expected);
        assert_close(&through(&writer.finish(), &x), &expected, &format!("the classes of {model_name}"));
    }
}
