//! Sweeps: a configuration and what is varied around it.

use diva::config::Config;
use diva::experiments::sweep::{self, Sweep};
use std::collections::BTreeSet;
use std::path::Path;

/// Commas in a text. More of them only make more jobs of the same kind, up to the limit of ten thousand.
const COMMAS: usize = 12;

/// The text of a SWEEP.toml.
pub fn sweep(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    if text.matches(',').count() > COMMAS {
        return false;
    }
    let path = Path::new("angles.toml");
    let sweep = match Sweep::parse(path, text) {
        Ok(sweep) => sweep,
        Err(error) => {
            assert_eq!(error.exit_code(), 2, "{error}");
            assert!(!error.to_string().contains(char::is_control), "{error}");
            return false;
        }
    };
    let mut ids = BTreeSet::new();
    for (place, job) in sweep.jobs.iter().enumerate() {
        assert_eq!((job.number, job.labels.len()), (place + 1, sweep.labels.len()));
        assert!(ids.insert(&job.id), "two jobs are called {}", job.id);
        assert!(!job.name.contains(char::is_control), "{:?} goes to the terminal", job.name);
        // What is put into the folder of the job is the job.
        let written = Config::resolve(Some(("config.toml", &job.config.to_toml())), None, &[], None);
        assert_eq!(written.as_ref(), Ok(&job.config));
        assert_eq!(sweep::id(&job.config), job.id);
    }
    assert!(!ids.is_empty());
    true
}
