//! What a run says of itself: `metrics.jsonl`, `result.json` and `unlike.json`, and the curves that are drawn from the first.

use diva::config::Config;
use diva::report::curves;
use diva::train::metrics::{parse_metrics, parse_result};
use diva::train::unlike::UnlikeTraining;
use std::path::Path;

/// Epochs that are drawn; more only take longer.
const DRAWN: usize = 8;

/// 0, 3, 6 ... and a metrics.jsonl; 1, 4 ... and a result.json or an unlike.json; 2, 5 ... and a metrics.jsonl to be drawn.
pub fn metrics(bytes: &[u8]) -> bool {
    let Some((mode, text)) = bytes.split_first() else { return false };
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let path = Path::new("a file of the run");
    if mode % 3 == 1 {
        let Ok(mut result) = parse_result(text, path) else { return unlike(text, path) };
        // A seal is of the fields of other versions too, which are not written again.
        if result.result_sha256.is_some() {
            result.seal();
        }
        let written = serde_json::to_string_pretty(&result).expect("a result is plain data");
        assert_eq!(parse_result(&written, path).as_ref(), Ok(&result));
        return true;
    }
    let Ok(mut metrics) = parse_metrics(text, path) else { return false };
    assert_eq!(metrics.len(), text.lines().count());
    metrics.iter_mut().filter(|line| line.line_sha256.is_some()).for_each(|line| line.seal());
    let lines = metrics.iter().map(|line| serde_json::to_string(line).expect("metrics are plain data"));
    let written = lines.collect::<Vec<_>>().join("\n");
    assert_eq!(parse_metrics(&written, path).as_ref(), Ok(&metrics));
    if mode % 3 == 2 && metrics.len() <= DRAWN {
        let config = Config::resolve(None, None, &[], None).expect("the preset is a configuration");
        for png in [
            curves::accuracy(
                &metrics,
                config.data.training_domains().len(),
                &config.data.test_domain.to_string(),
            ),
            curves::loss(&metrics, &config.train),
        ] {
            assert_eq!(&png[1..4], b"PNG");
            assert!(png.len() < 1 << 20, "{} bytes of a picture", png.len());
        }
    }
    true
}

fn unlike(text: &str, path: &Path) -> bool {
    let Ok(unlike) = UnlikeTraining::parse(text, path) else { return false };
    assert_eq!(UnlikeTraining::parse(&unlike.to_json(), path).as_ref(), Ok(&unlike));
    (0..).zip(&unlike.limits).all(|(domain, limits)| {
        let marks = |elbo| unlike.marks(Some(domain), elbo);
        let highest = limits.highest.is_none_or(|highest| !marks(highest) && marks(highest.next_up()));
        highest && marks(limits.lowest.next_down()) && !marks(limits.lowest)
    })
}
