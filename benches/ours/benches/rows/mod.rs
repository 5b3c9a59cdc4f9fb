//! A table of things computed from variables, as criterion benchmarks.

use criterion::{Criterion, Throughput};
use diva::tensor::Shape;
use diva_benches::{Graph, Work, use_isa_of_environment};

/// A name, the shapes of the variables, the elements that it is a rate of, what is computed.
pub type Row = (&'static str, Vec<Shape>, usize, Work);

/// Times every row, forward and forward with all gradients.
pub fn time(criterion: &mut Criterion, group: &str, rows: Vec<Row>) {
    use_isa_of_environment();
    let mut group = criterion.benchmark_group(group);
    group.sample_size(10);
    for (name, shapes, elements, work) in rows {
        group.throughput(Throughput::Elements(elements as u64));
        let mut graph = Graph::new(&shapes, work);
        group.bench_function(format!("{name}/forward"), |bencher| bencher.iter(|| graph.forward()));
        group.bench_function(format!("{name}/forward_and_backward"), |bencher| {
            bencher.iter(|| graph.forward_and_backward());
        });
    }
    group.finish();
}
