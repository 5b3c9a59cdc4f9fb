//! Configurations: files and `--set` flags.

use diva::config::Config;

/// Ends the file and each flag: a control character that no TOML text holds.
const SEPARATOR: char = '\u{1e}';

/// The text of a file, then one `KEY=VALUE` after each separator; without text there is no file.
pub fn config(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let mut parts = text.split(SEPARATOR);
    let file = parts.next().filter(|text| !text.is_empty()).map(|text| ("config.toml", text));
    let overrides: Vec<String> = parts.map(str::to_owned).collect();
    let config = match Config::resolve(file, None, &overrides, None) {
        Ok(config) => config,
        Err(error) => {
            assert_eq!(error.exit_code(), 2, "{error}");
            assert!(!error.to_string().contains('\n'), "{error}");
            return false;
        }
    };
    let written = config.to_toml();
    let again = Config::resolve(Some(("again.toml", &written)), None, &[], None);
    assert_eq!(again.as_ref(), Ok(&config));
    let again = again.expect("equal to one that is");
    assert_eq!(again.to_toml(), written);
    assert_eq!(again.identity(), config.identity());
    assert_eq!(config.differences_that_matter(&again), [""; 0]);
    assert_eq!(again.validate_for_training(), config.validate_for_training());
    true
}
