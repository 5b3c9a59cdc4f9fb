//! What lies around the program: terminals of all kinds, how many threads the environment asks for or grants, and what it allows.

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

/// The fault: the page was in its place, and the exit code said that it could not be written.
#[cfg(unix)]
#[test]
fn a_folder_that_may_not_be_listed_is_refused_before_anything_is_written() {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;

    let here = Folder::new();
    here.with_a_run("run");
    fs::create_dir(here.join("out")).unwrap();
    fs::set_permissions(here.join("out"), Permissions::from_mode(0o333)).unwrap();
    // Nothing is forbidden to root, who can be somebody else.
    let is_root = fs::metadata(here.join("out")).unwrap().uid() == 0;
    let run = |arguments: &[&str]| {
        let mut command = here.diva(arguments);
        if is_root {
            command.uid(65534).gid(65534);
        }
        command.output()
    };
    if !run(&["--version"]).is_ok_and(|output| output.status.success()) {
        return; // a program in a folder that is root's alone
    }
    let why = "its folder may not be listed, and so not be forced to the disk";
    for (arguments, code) in [
        (&["report", "run", "--out", "out/page.html"][..], 1),
        (&["weights", "export", "run", "--out", "out/weights"], 1),
        (&["generate", "run", "samples", "--out", "out"], 1),
        (&["generate", "run", "samples", "--out", "out/new"], 2),
    ] {
        super::refused(&run(arguments).unwrap(), code, &[arguments[arguments.len() - 1], why]);
    }
    fs::set_permissions(here.join("out"), Permissions::from_mode(0o755)).unwrap();
    assert_eq!(fs::read_dir(here.join("out")).unwrap().count(), 0);
}
