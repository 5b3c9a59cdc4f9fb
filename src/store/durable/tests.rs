//! Files on a real disk; `store/disk/` has those on disks that fail.

use super::*;
use crate::store::scratch::{Scratch, names_in};
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

#[test]
fn a_file_is_created_and_replaced_and_nothing_else_stays() {
    let scratch = Scratch::new();
    let path = scratch.join("result.json");
    write(&path, b"first").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"first");
    write(&path, b"").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"");
    let large: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    write(&path, &large).unwrap();
    assert!(fs::read(&path).unwrap() == large);
    assert_eq!(scratch.names(), ["result.json"]);
}

#[test]
fn a_path_without_a_folder_is_in_the_working_folder() {
    assert_eq!(folder_of(Path::new("result.json")), Path::new("."));
    assert_eq!(folder_of(Path::new("a/result.json")), Path::new("a"));
    assert_eq!(folder_of(Path::new("/result.json")), Path::new("/"));
}

#[test]
fn a_missing_folder_is_named_with_the_cause() {
    let scratch = Scratch::new();
    let path = scratch.join("missing").join("result.json");
    let cause = File::create(&path).unwrap_err();
    let expected = Error::Work(format!("cannot write {}: {cause}", path.display()));
    assert_eq!(write(&path, b"x").unwrap_err(), expected);
    assert_eq!(append_line(&path, "x").unwrap_err(), expected);
    assert_eq!(sync(&path).unwrap_err(), expected);
    assert!(scratch.names().is_empty());
}

#[test]
fn a_folder_in_the_place_of_the_file_is_refused_and_kept() {
    let scratch = Scratch::new();
    let path = scratch.join("result.json");
    fs::create_dir(&path).unwrap();
    let message = write(&path, b"x").unwrap_err().to_string();
    assert!(message.contains("result.json: is a directory"), "{message}");
    assert_eq!(scratch.names(), ["result.json"]);
    assert!(names_in(&path).is_empty());
    assert!(write(Path::new(".."), b"x").is_err());
}

#[test]
fn a_file_whose_name_is_as_long_as_can_be_is_replaced() {
    let scratch = Scratch::new();
    // The longest name most file systems take, and one in which every letter takes three bytes.
    for long in ["n".repeat(255), "語".repeat(85)] {
        let path = scratch.join(&long);
        fs::write(&path, b"old").unwrap();
        write(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(scratch.names(), [long]);
        remove(&path).unwrap();
    }
}

/// The fault: whoever may write in the folder, as everybody may in /tmp, laid a link where the temporary would be.
#[cfg(unix)]
#[test]
fn nothing_is_written_through_a_link_that_lies_in_the_way() {
    let scratch = Scratch::new();
    let (private, path) = (scratch.join("private"), scratch.join("page.html"));
    fs::write(&private, b"private").unwrap();
    for count in 0..1000 {
        let name = format!("page.html.{}-{count}.part", std::process::id());
        std::os::unix::fs::symlink(&private, scratch.join(&name)).unwrap();
    }
    write(&path, b"page").unwrap();
    assert_eq!((fs::read(&private).unwrap(), fs::read(&path).unwrap()), (b"private".into(), b"page".into()));
    assert!(!fs::symlink_metadata(&path).unwrap().is_symlink());
}

#[cfg(unix)]
fn pipe_in(scratch: &Scratch) -> PathBuf {
    let path = scratch.join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    path
}

/// The fault: it waited for a reader until the end of time.
#[cfg(unix)]
#[test]
fn a_pipe_that_nobody_reads_is_refused() {
    let scratch = Scratch::new();
    let path = pipe_in(&scratch);
    let expected = Error::Work(format!(
        "cannot write {}: it is a pipe that nobody reads from, or a device that is not there",
        path.display()
    ));
    let (send, outcomes) = std::sync::mpsc::channel();
    let place = path.clone();
    std::thread::spawn(move || {
        for outcome in [write(&place, b"x"), append_line(&place, "x"), sync(&place)] {
            send.send(outcome).unwrap();
        }
    });
    for _ in 0..3 {
        let outcome = outcomes.recv_timeout(Duration::from_secs(60)).expect("it waits");
        assert_eq!(outcome, Err(expected.clone()));
    }
    assert_eq!(scratch.names(), ["pipe"]);
}

#[cfg(unix)]
#[test]
fn a_pipe_takes_more_than_it_holds_if_its_reader_is_slow() {
    use std::io::Read;
    let scratch = Scratch::new();
    let path = pipe_in(&scratch);
    // More than a pipe of the system holds at once.
    let page: Vec<u8> = (0..300_000_u32).map(|i| (i % 251) as u8).collect();
    let place = path.clone();
    let reader = std::thread::spawn(move || {
        let mut pipe = File::open(place).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let mut found = Vec::new();
        pipe.read_to_end(&mut found).unwrap();
        found
    });
    while write(&path, &page).is_err() {
        assert!(!reader.is_finished(), "it was written in part");
    }
    assert!(reader.join().unwrap() == page);
    assert_eq!(scratch.names(), ["pipe"]);
}

#[cfg(unix)]
#[test]
fn a_symbolic_link_stays_and_its_file_is_replaced() {
    let scratch = Scratch::new();
    let (folder, link) = (scratch.join("elsewhere"), scratch.join("link"));
    fs::create_dir(&folder).unwrap();
    write(&folder.join("file"), b"old").unwrap();
    std::os::unix::fs::symlink(folder.join("file"), &link).unwrap();
    write(&link, b"new").unwrap();
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read(folder.join("file")).unwrap(), b"new");
    assert_eq!(names_in(&folder), ["file"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_device_is_written_and_not_replaced() {
    use std::os::unix::fs::FileTypeExt;
    write(Path::new("/dev/null"), b"x").unwrap();
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
    // Error 28 is ENOSPC.
    let full = io::Error::from_raw_os_error(28);
    let expected = Error::Work(format!("cannot write /dev/full: {full}"));
    assert_eq!(write(Path::new("/dev/full"), b"x").unwrap_err(), expected);
    assert_eq!(append_line(Path::new("/dev/full"), "x").unwrap_err(), expected);
    assert!(fs::metadata("/dev/full").unwrap().file_type().is_char_device());
}

/// A file system of 64 KiB on a folder, taken away again at the end.
#[cfg(target_os = "linux")]
struct SmallDisk<'a>(&'a Path);

#[cfg(target_os = "linux")]
impl<'a> SmallDisk<'a> {
    fn mount(folder: &'a Path) -> Option<Self> {
        let mount = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
            .arg(folder)
            .output();
        mount.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }
}

#[cfg(target_os = "linux")]
impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg(self.0).output();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_keeps_the_old_file_and_whole_lines() {
    let scratch = Scratch::new();
    let Some(disk) = SmallDisk::mount(scratch.path()) else {
        eprintln!("skipped: a small file system cannot be mounted here (that takes the rights of root)");
        return;
    };
    let (path, lines) = (scratch.join("checkpoint.safetensors"), scratch.join("metrics.jsonl"));
    let old = vec![7_u8; 30_000];
    write(&path, &old).unwrap();
    let full = io::Error::from_raw_os_error(28);
    assert_eq!(
        write(&path, &vec![8_u8; 60_000]).unwrap_err(),
        Error::Work(format!("cannot write {}: {full}", path.display()))
    );
    assert!(fs::read(&path).unwrap() == old);
    assert_eq!(scratch.names(), ["checkpoint.safetensors"]);

    append_line(&lines, "first").unwrap();
    assert!(append_line(&lines, &"x".repeat(60_000)).is_err());
    assert_eq!(fs::read(&lines).unwrap(), b"first\n");
    append_line(&lines, "second").unwrap();
    assert_eq!(fs::read(&lines).unwrap(), b"first\nsecond\n");
    drop(disk);
}

#[test]
fn lines_are_appended_in_order() {
    let scratch = Scratch::new();
    let path = scratch.join("metrics.jsonl");
    append_line(&path, "{\"epoch\":1}").unwrap();
    append_line(&path, "").unwrap();
    append_line(&path, "{\"epoch\":2}").unwrap();
    sync(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"epoch\":1}\n\n{\"epoch\":2}\n");
}

#[test]
#[should_panic(expected = "line break")]
fn a_line_of_two_lines_is_a_bug() {
    let scratch = Scratch::new();
    let _ = append_line(&scratch.join("metrics.jsonl"), "a\nb");
}

#[test]
fn lines_are_cut_back_to_any_count_and_torn_ones_dropped() {
    let scratch = Scratch::new();
    let path = scratch.join("metrics.jsonl");
    let all = ["one", "", "three"];
    for torn in ["", "to", "{\"epoch\":"] {
        for keep in 0..=3 {
            fs::write(&path, format!("one\n\nthree\n{torn}")).unwrap();
            truncate_lines(&path, keep).unwrap();
            let kept: String = all[..keep].iter().map(|line| format!("{line}\n")).collect();
            assert_eq!(fs::read_to_string(&path).unwrap(), kept, "{torn:?} {keep}");
        }
        fs::write(&path, format!("one\n\nthree\n{torn}")).unwrap();
        assert_eq!(
            truncate_lines(&path, 4).unwrap_err(),
            Error::Request(format!("cannot cut {} back to 4 lines: it has 3 complete ones", path.display()))
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("one\n\nthree\n{torn}"));
    }
    assert_eq!(scratch.names(), ["metrics.jsonl"]);
}

#[test]
fn a_missing_file_has_no_lines() {
    let scratch = Scratch::new();
    let path = scratch.join("metrics.jsonl");
    truncate_lines(&path, 0).unwrap();
    assert!(scratch.names().is_empty());
    assert!(matches!(truncate_lines(&path, 1), Err(Error::Request(_))));
    assert!(matches!(truncate_lines(scratch.path(), 0), Err(Error::Request(_))));
}

#[test]
fn folders_are_created_with_those_above_them() {
    let scratch = Scratch::new();
    let path = scratch.join("a").join("b").join("c");
    create_folder(&path).unwrap();
    create_folder(&path).unwrap();
    assert!(path.is_dir());
    let file = path.join("file");
    fs::write(&file, b"").unwrap();
    for refused in [file.clone(), file.join("d")] {
        let message = create_folder(&refused).unwrap_err().to_string();
        let start = format!("cannot create the folder {}: ", refused.display());
        assert!(message.starts_with(&start), "{message}");
    }
}

#[test]
fn removing_twice_is_removing_once() {
    let scratch = Scratch::new();
    let path = scratch.join("file");
    write(&path, b"x").unwrap();
    remove(&path).unwrap();
    remove(&path).unwrap();
    assert!(scratch.names().is_empty());
    assert!(matches!(remove(scratch.path()), Err(Error::Work(_))));
}

#[cfg(unix)]
#[test]
fn a_link_at_a_name_that_nobody_asked_for_is_replaced() {
    let scratch = Scratch::new();
    let (victim, link, dangling) = (scratch.join("victim"), scratch.join("link"), scratch.join("dangling"));
    fs::write(&victim, b"private").unwrap();
    std::os::unix::fs::symlink(&victim, &link).unwrap();
    std::os::unix::fs::symlink(scratch.join("elsewhere"), &dangling).unwrap();
    for path in [&link, &dangling] {
        write_own(path, b"new").unwrap();
        assert!(fs::symlink_metadata(path).unwrap().is_file());
        assert_eq!(fs::read(path).unwrap(), b"new");
    }
    assert_eq!(fs::read(&victim).unwrap(), b"private");
    assert_eq!(scratch.names(), ["dangling", "link", "victim"]);
    for (path, what) in [(Path::new("/dev/null"), "it is a device"), (scratch.path(), "it is a folder")] {
        let message = write_own(path, b"x").unwrap_err().to_string();
        assert!(message.contains(what), "{message}");
    }
}
