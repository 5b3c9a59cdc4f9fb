//! Whoever has written the file of a lock, and whether that process lives.
//!
//! A process id alone tells little: it is given again, it counts anew in every container, and it is of one machine. So
//! with it stand what Linux knows the process by, and a death is certain only where all of that is of this machine, as
//! it runs now, and of this container. Whatever is not certain counts as unknown.

use crate::store::digest::hex;
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek};

/// The longest line that is read.
pub(super) const LONGEST: u64 = 4096;

/// What stands in the file of a lock, as one line of JSON. Names that are not known are passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Holder {
    pub(super) process: u32,
    /// The name of its machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) host: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) begin: Option<Begin>,
    /// 128 random bits, by which a lock knows its own file; that of an earlier version has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) nonce: Option<String>,
    /// Whether the file itself is the lock, since the system has none there.
    #[serde(default)]
    pub(super) exclusive: bool,
}

/// When a process began, and by whose count its id is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Begin {
    /// Which start of which machine.
    pub(super) boot: String,
    /// In which of its name spaces of processes, of which containers have one each.
    pub(super) namespace: String,
    /// Ticks of the clock from that start to the begin of the process.
    pub(super) ticks: u64,
}

/// What is known of a holder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Going,
    Over,
    Unknown,
}

impl Holder {
    /// This process, without random bits.
    pub(super) fn this(exclusive: bool) -> Self {
        let host = fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let host = host.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        Self { process: std::process::id(), host, begin: Begin::of_this_process(), nonce: None, exclusive }
    }

    /// What stands in the file.
    pub(super) fn line(&self) -> String {
        serde_json::to_string(self).expect("a holder is plain data") + "\n"
    }

    /// The holder that an open file names, if it is written already and not torn. The file is then at its beginning again.
    pub(super) fn read(mut file: &File) -> Option<Self> {
        let mut text = String::new();
        let read = file.take(LONGEST).read_to_string(&mut text);
        file.rewind().ok()?;
        read.ok()?;
        serde_json::from_str(&text).ok()
    }

    pub(super) fn life(&self) -> Life {
        let (Some(theirs), Some(here)) = (&self.begin, Begin::of_this_process()) else {
            return Life::Unknown;
        };
        if (&theirs.boot, &theirs.namespace) != (&here.boot, &here.namespace) {
            return Life::Unknown;
        }
        match Stat::of(&self.process.to_string()) {
            Ok(found) if found.ticks == theirs.ticks && !found.is_dead => Life::Going,
            Ok(_) => Life::Over,
            // The processes of others may be hidden; the first is then hidden too.
            Err(cause) if cause.kind() == ErrorKind::NotFound && Stat::of("1").is_ok() => Life::Over,
            Err(_) => Life::Unknown,
        }
    }

    /// In words, without its machine if that is this one.
    pub(super) fn in_words(&self) -> String {
        match &self.host {
            Some(host) if self.life() == Life::Unknown => format!("process {} on {host}", self.process),
            _ => format!("process {}", self.process),
        }
    }
}

/// 128 random bits in hexadecimal.
pub(super) fn nonce() -> Result<String, getrandom::Error> {
    let mut random = [0_u8; 16];
    getrandom::fill(&mut random)?;
    Ok(hex(&random))
}

/// Why a file is not that of a lock, whatever its name, so that it must not be emptied: it has another name, under which
/// somebody may miss what is in it, or it holds what no version has written. It is at its beginning before and after.
pub(super) fn objection(mut file: &File) -> io::Result<Option<String>> {
    #[cfg(unix)]
    {
        let names = std::os::unix::fs::MetadataExt::nlink(&file.metadata()?);
        if names > 1 {
            return Ok(Some(format!("it has {names} names, as hard links")));
        }
    }
    let mut content = vec![];
    let read = file.take(LONGEST + 1).read_to_end(&mut content);
    file.rewind()?;
    read?;
    Ok((!may_be_of_a_lock(&content)).then(|| "it holds something else".into()))
}

/// Whether this is a holder's line or the beginning of one, or the process id that earlier versions wrote. A power cut may leave
/// zeros or noise in their place: what is no text is nothing that somebody has written there.
fn may_be_of_a_lock(content: &[u8]) -> bool {
    if content.len() as u64 > LONGEST {
        return false;
    }
    match std::str::from_utf8(content) {
        Ok("") | Err(_) => true,
        Ok(text) if text.starts_with('{') && !text.contains('\0') => {
            let first = serde_json::Deserializer::from_str(text).into_iter::<Holder>().next();
            first.is_some_and(|holder| holder.map_or_else(|cause| cause.is_eof(), |_| true))
        }
        Ok(text) => text.contains('\0') || text.trim_end().parse::<u32>().is_ok(),
    }
}

impl Begin {
    /// That of this process, where the system says it.
    fn of_this_process() -> Option<Self> {
        let stat = Stat::of("self").ok()?;
        // /proc may be that of another name space.
        let is_mine = stat.process == std::process::id();
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned();
        let namespace = fs::read_link("/proc/self/ns/pid").ok()?.to_str()?.to_owned();
        is_mine.then_some(Self { boot, namespace, ticks: stat.ticks })
    }
}

/// What /proc/PROCESS/stat says: proc_pid_stat(5).
struct Stat {
    process: u32,
    /// It has ended, and its parent has not asked how.
    is_dead: bool,
    ticks: u64,
}

impl Stat {
    fn of(process: &str) -> io::Result<Self> {
        Self::parse(&fs::read(format!("/proc/{process}/stat"))?).ok_or_else(|| ErrorKind::InvalidData.into())
    }

    /// The second field is the program's name in parentheses, whatever bytes are in it; the third the state, the 22nd the begin.
    fn parse(text: &[u8]) -> Option<Self> {
        let end_of_name = text.iter().rposition(|&byte| byte == b')')?;
        let digits = text.iter().position(|&byte| byte == b' ')?;
        let process = std::str::from_utf8(&text[..digits]).ok()?.parse().ok()?;
        let mut rest = std::str::from_utf8(&text[end_of_name + 1..]).ok()?.split_ascii_whitespace();
        let is_dead = matches!(rest.next()?, "Z" | "X");
        let ticks = rest.nth(22 - 4)?.parse().ok()?;
        Some(Self { process, is_dead, ticks })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_the_statistics_of_a_process_may_be_anything() {
        let line = |name: &[u8], state: &str| {
            let mut text = [b"42 (", name, b") "].concat();
            text.extend(format!("{state} 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 2200 23\n").bytes());
            text
        };
        for name in [&b"diva"[..], b"a) Z 1 (b", b"\xff \xfe)", b""] {
            for (state, is_dead) in [("R", false), ("S", false), ("Z", true), ("X", true)] {
                let found = Stat::parse(&line(name, state)).unwrap();
                assert_eq!((found.process, found.is_dead, found.ticks), (42, is_dead, 2200));
            }
        }
        for torn in [&b""[..], b"42", b"42 (diva", b"42 (diva) R 4 5", b"x (diva) R"] {
            assert!(Stat::parse(torn).is_none());
        }
    }

    #[test]
    fn what_is_written_is_read_and_later_versions_may_write_more() {
        let parse = |text: &str| serde_json::from_str::<Holder>(text).ok();
        let this = Holder { nonce: Some(nonce().unwrap()), ..Holder::this(true) };
        assert_eq!(parse(&this.line()), Some(this));
        let foreign = parse("{\"process\":7,\"host\":\"node7\",\"nonce\":\"f00\"}").unwrap();
        assert_eq!((foreign.process, foreign.exclusive, foreign.life()), (7, false, Life::Unknown));
        assert_eq!(foreign.in_words(), "process 7 on node7");
        for text in ["", "7\n", "{\"process\":7", "{\"process\":-1}"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_nonce_has_128_bits_and_is_another_each_time() {
        let [first, second] = [nonce().unwrap(), nonce().unwrap()];
        assert!(first.len() == 32 && first.bytes().all(|digit| digit.is_ascii_hexdigit()), "{first}");
        assert_ne!(first, second);
    }

    #[test]
    fn what_any_version_has_written_is_of_a_lock_however_it_was_torn() {
        let this =
            Holder { nonce: Some(nonce().unwrap()), host: Some("größe".into()), ..Holder::this(false) };
        let earlier = Holder { nonce: None, ..this.clone() };
        let later = "{\"color\":\"red\",\"process\":7}\n";
        for line in [&*this.line(), &earlier.line(), later, "4294967295\n"] {
            for length in 0..=line.len() {
                let torn = &line.as_bytes()[..length];
                assert!(may_be_of_a_lock(torn), "{}", String::from_utf8_lossy(torn));
                // The rest has a length on the disk, but no contents.
                let zeros = vec![0; line.len() - length];
                assert!(may_be_of_a_lock(&[torn, &zeros].concat()));
            }
            // Two that did not know each other wrote at the same moment.
            assert!(may_be_of_a_lock(format!("{line}}}\n").as_bytes()) || line.starts_with('4'));
        }
        let noise: Vec<u8> = (0..200).map(|i| (i * 37 % 256) as u8).collect();
        assert!(may_be_of_a_lock(&noise));
        let long = "1".repeat(5000);
        let others =
            ["private", "7 and more", "-7", "\n", "{\"private\":true}", "[7]", "{private", "{}", &long];
        for other in others.into_iter().map(str::as_bytes).chain([&[0; 5000][..], &[255; 5000]]) {
            assert!(!may_be_of_a_lock(other), "{}", String::from_utf8_lossy(other));
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_is_dead_only_where_that_is_certain() {
        let this = Holder::this(false);
        let begin = this.begin.clone().expect("Linux says when a process began");
        assert_eq!(this.life(), Life::Going);
        let with = |process: u32, begin: Begin| Holder { process, begin: Some(begin), ..this.clone() };
        // Its id was given again.
        let earlier = Begin { ticks: begin.ticks - 1, ..begin.clone() };
        assert_eq!(with(this.process, earlier).life(), Life::Over);
        // More than Linux counts.
        assert_eq!(with(1 << 23, begin.clone()).life(), Life::Over);
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let started = Stat::of(&child.id().to_string()).unwrap();
        let of_child = with(child.id(), Begin { ticks: started.ticks, ..begin.clone() });
        while of_child.life() == Life::Going {
            std::thread::yield_now();
        }
        assert_eq!(of_child.life(), Life::Over, "it has ended, and nobody has asked how");
        child.wait().unwrap();
        assert_eq!(of_child.life(), Life::Over);
        // Whatever the id, another machine, another start of this one or another container has its own.
        for process in [this.process, 1 << 23] {
            for other in [
                Begin { boot: "another".into(), ..begin.clone() },
                Begin { namespace: "pid:[1]".into(), ..begin.clone() },
            ] {
                assert_eq!(with(process, other).life(), Life::Unknown);
            }
            assert_eq!(Holder { process, begin: None, ..this.clone() }.life(), Life::Unknown);
        }
    }
}
