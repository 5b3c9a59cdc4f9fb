//! diva's time for a training step of the rotated-MNIST decoder: forward, 256-way cross-entropy of every pixel,
//! backward, Adam.
//!
//! `decoder_step BATCH STEPS` prints one JSON object; RAYON_NUM_THREADS sets the threads, DIVA_ISA the instruction
//! set.

use diva::simd::Isa;
use diva_benches::{DecoderTraining, use_isa_of_environment};
use std::time::Instant;

fn main() {
    let [batch, steps] = arguments();
    use_isa_of_environment();
    let mut training = DecoderTraining::new(batch);
    let mut seconds = Vec::new();
    let mut loss = f32::NAN;
    for step in 0..=steps {
        let start = Instant::now();
        loss = training.step();
        if step > 0 {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    let (median, fastest) = (seconds[seconds.len() / 2], seconds[0]);
    let (peak, numbers, isa) = (peak_rss_mib(), training.numbers(), Isa::current().name());
    println!(
        r#"{{"median_s": {median}, "min_s": {fastest}, "peak_rss_mib": {peak}, "loss": {loss}, "numbers": {numbers}, "isa": "{isa}"}}"#
    );
}

fn arguments() -> [usize; 2] {
    let numbers: Vec<usize> = std::env::args().skip(1).map_while(|argument| argument.parse().ok()).collect();
    match numbers[..] {
        [batch, steps] if batch >= 2 && steps >= 1 => [batch, steps],
        _ => panic!("expected BATCH (2 or more) and STEPS (1 or more)"),
    }
}

/// VmHWM of /proc/self/status: the high-water mark of resident memory.
fn peak_rss_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells of every process");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a high-water mark");
    let kib: f64 = line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("VmHWM: N kB");
    kib / 1024.0
}
