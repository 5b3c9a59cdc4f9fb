//! What lies around the program: terminals of all kinds, and how many threads the environment asks for or grants.

use super::{Folder, text, train};
#[cfg(unix)]
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
#[cfg(unix)]
use rustix::termios::{Winsize, tcsetwinsize};
use std::process::Output;

/// What a short training shows on a terminal of so many columns, its `TERM` set or missing.
#[cfg(unix)]
fn on_a_terminal(here: &Folder, name: Option<&str>, columns: u16) -> String {
    use std::fs::File;
    use std::io::Read;
    use std::os::unix::ffi::OsStrExt;

    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let path = ptsname(&ours, Vec::new()).unwrap();
    let path = std::ffi::OsStr::from_bytes(path.to_bytes());
    let theirs = File::options().read(true).write(true).open(path).unwrap();
    tcsetwinsize(&theirs, Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();

    let mut command =
        here.diva(&train("run", &["--set", "model.kind=classifier", "--set", "train.epochs=1"]));
    command.stdout(theirs.try_clone().unwrap()).stderr(theirs);
    match name {
        Some(name) => command.env("TERM", name),
        None => command.env_remove("TERM"),
    };
    let mut child = command.spawn().unwrap();
    drop(command); // and with it the terminal's other end, so that reading comes to an end
    let mut shown = Vec::new();
    // The end of a terminal that nobody else has open is an error on some systems.
    let _ = File::from(ours).read_to_end(&mut shown);
    assert!(child.wait().unwrap().success(), "{}", String::from_utf8_lossy(&shown));
    std::fs::remove_dir_all(here.join("run")).unwrap();
    text(&shown).replace("\r\n", "\n")
}

#[cfg(unix)]
#[test]
fn a_terminal_that_draws_nothing_shows_the_lines_of_a_pipe() {
    let here = Folder::new();
    let piped = here.succeed(&train("run", &["--set", "model.kind=classifier", "--set", "train.epochs=1"]));
    std::fs::remove_dir_all(here.join("run")).unwrap();
    assert!(
        piped.starts_with("run: 80 images of 2 domains") && piped.contains("\nepoch   1/1  loss"),
        "{piped}"
    );
    for name in [Some("dumb"), Some(""), None] {
        assert_eq!(on_a_terminal(&here, name, 80), piped, "TERM = {name:?}");
    }
    // One that draws has a bar, and above it the same lines, however narrow it is.
    for columns in [0, 2, 20, 300] {
        let shown = on_a_terminal(&here, Some("xterm"), columns);
        assert!(shown.contains('\x1b'), "{shown:?}");
        for line in piped.lines() {
            assert!(shown.contains(line), "{columns} columns: {shown:?} does not contain {line:?}");
        }
    }
}

/// A request that is refused at once, if no sooner, where the environment has this.
fn with(here: &Folder, variable: &str, value: &str, arguments: &[&str]) -> Output {
    let command = [arguments, &["predict", "missing", "image.png"]].concat();
    here.diva(&command).env(variable, value).output().unwrap()
}

#[test]
fn threads_of_the_environment_are_limited_as_those_of_the_command_line_are() {
    let here = Folder::new();
    let said = |variable: &str, value: &str, arguments: &[&str]| {
        let output = with(&here, variable, value, arguments);
        assert_eq!(output.status.code(), Some(2));
        text(&output.stderr)
    };
    let goes_on = "diva: missing is not the folder of a run\n";
    let takes = "is not usable; it takes 1 to 1024, or 0 for all cores\n";
    for value in ["100000", "1025", "99999999999999999999999", "-1", "many", "2 "] {
        assert_eq!(said("RAYON_NUM_THREADS", value, &[]), format!("diva: RAYON_NUM_THREADS={value} {takes}"));
        // The command line is the later word.
        assert_eq!(said("RAYON_NUM_THREADS", value, &["--threads", "1"]), goes_on);
    }
    for value in ["", "0", "1", "3"] {
        assert_eq!(said("RAYON_NUM_THREADS", value, &[]), goes_on);
    }
    // Another name for it, of old.
    assert_eq!(said("RAYON_RS_NUM_CPUS", "100000", &[]), goes_on);
}

/// No machine has room for a stack of 2^47 bytes, so it refuses the first thread.
#[cfg(target_os = "linux")]
#[test]
fn threads_that_are_refused_are_counted_in_a_sentence() {
    let here = Folder::new();
    let cores = std::thread::available_parallelism().unwrap().get().min(1024);
    for (arguments, threads) in [(&["--threads", "7"][..], 7), (&[], cores)] {
        let output = with(&here, "RUST_MIN_STACK", &(1_u64 << 47).to_string(), arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.starts_with(&format!("diva: cannot start {threads} threads: ")), "{said}");
        assert!(
            said.ends_with("; with --threads it takes fewer\n") && said.matches('\n').count() == 1,
            "{said}"
        );
    }
}
