//! Pictures that a list says everything of: a line each, in a table with the columns file, class, domain and, if wanted, group and
//! split.
//!
//! The table is CSV in UTF-8, with commas, semicolons or tabs between the fields, whichever divides its first line into the most;
//! that line names the columns, in any order, in upper or lower case, or as the caller says ([`list`]). Space around a field does not
//! count, nor does a line without any. A file's path begins at the list's own folder, unless it is absolute. An empty class, or
//! `unlabelled`, is none. Names of domains, classes and groups are kept composed, as those of folders are ([`super::folders`]).
//!
//! The column split says what each picture is for ([`NamedSplit`](super::NamedSplit)): train, validation, test or unlabelled
//! (its class is not read). Then every picture with a class has one; those for test are all of one domain with a class, and no
//! others. Of a group either all pictures or none are held back for validation.
//!
//! Whatever is wrong is named by its line. Pictures whose lines agree with their places in folders are listed in the same order.

mod split;

use super::folders::{group_notices, is_without_class};
use super::listing::{Listing, PictureFile};
use super::spelling::Names;
use crate::data::collection::UNLABELLED;
use crate::data::division::Role;
use crate::error::{Error, Result};
use crate::names::{composed, shown};
use crate::store::input;
use csv::{ByteRecord, ReaderBuilder};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// The most pictures of a list. As the smallest images there are they take 8 GiB.
const MOST_PICTURES: usize = 10_000_000;

/// The most columns of a list: each takes memory beyond its bytes.
const MOST_COLUMNS: usize = 10_000;

/// What is wrong with a list, behind "cannot use PATH: ".
type Problem<T> = std::result::Result<T, String>;

/// Where a picture is, once links are followed, if it is there.
pub type Places<'a> = &'a dyn Fn(&Path) -> io::Result<PathBuf>;

/// Whether a path is called as lists are: it ends in `.csv`, `.tsv` or `.txt`, in upper or lower case.
pub fn is_list(path: &Path) -> bool {
    let endings = ["csv", "tsv", "txt"];
    path.extension().is_some_and(|found| endings.iter().any(|ending| found.eq_ignore_ascii_case(ending)))
}

/// Lists the pictures that the table at `path` names. `columns` says which columns are called otherwise, as `file=path`.
///
/// Memory: the length of the table, of each picture some 300 bytes and four times its path, and of each class and domain some 400.
///
/// # Errors
/// If the table cannot be read, is longer than [`input::TABLE`] or has more than ten million lines; if it is not in UTF-8, a column is
/// missing, a line has another number of fields than the first, no file or no domain, or a file that is not there or that an
/// earlier line has named; if no line has a class, or the column split holds other than it should.
pub fn list(path: &Path, columns: &[String]) -> Result<Listing> {
    of_text(&input::bytes(path, input::TABLE)?, path, columns, &real_place)
}

fn real_place(path: &Path) -> io::Result<PathBuf> {
    match std::fs::metadata(path)?.is_dir() {
        true => Err(io::Error::new(ErrorKind::InvalidInput, "it is a folder, expected a picture")),
        false => path.canonicalize(),
    }
}

/// The same of the `text` of a table that is called `path`, where `places` says where a picture is once links are followed.
///
/// # Errors
/// As [`list`].
pub fn of_text(text: &[u8], path: &Path, columns: &[String], places: Places<'_>) -> Result<Listing> {
    let root = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    listed(text, root, columns, places)
        .map_err(|problem| Error::request(format!("cannot use {}: {problem}", shown(path))))
}

fn listed(text: &[u8], root: &Path, columns: &[String], places: Places<'_>) -> Problem<Listing> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut table = Table::new(text);
    let mut record = ByteRecord::new();
    let header = match table.next(&mut record) {
        Some(_) if record.len() > MOST_COLUMNS => {
            let found = record.len();
            return Err(format!("its first line has {found} fields, expected at most {MOST_COLUMNS}"));
        }
        Some(_) => fields(&record, 1)?.into_iter().map(composed).collect::<Vec<_>>(),
        None => {
            return Err("it is empty, expected a line that names the columns file, class and domain".into());
        }
    };
    let columns = Columns::find(&header, columns)?;
    let mut found = Found::new(root, places);
    while let Some(line) = table.next(&mut record) {
        let fields = fields(&record, line)?;
        if fields.iter().all(|field| field.is_empty()) {
            continue; // spreadsheets leave such lines behind
        }
        if fields.len() != header.len() {
            return Err(format!(
                "line {line} has {} fields, expected {} as in the first line",
                fields.len(),
                header.len()
            ));
        }
        if found.lines.len() == MOST_PICTURES {
            return Err(format!("line {line} is one too many, expected at most {MOST_PICTURES} pictures"));
        }
        found.add(line, &columns, &fields).map_err(|what| format!("line {line} {what}"))?;
    }
    let mut listing = found.listing()?;
    if let Some(first) = columns.unread.first() {
        listing.notices.push(format!(
            "columns of the list that are not read: {}, the first is {first:?}; --columns names those that are",
            columns.unread.len()
        ));
    }
    Ok(listing)
}

/// The fields of a line, without the space around them.
fn fields(record: &ByteRecord, line: u64) -> Problem<Vec<&str>> {
    let text = |field| std::str::from_utf8(field).map(str::trim);
    record
        .iter()
        .map(text)
        .collect::<std::result::Result<_, _>>()
        .map_err(|_| format!("line {line} is not text in UTF-8 (spreadsheets call it CSV UTF-8)"))
}

/// A table, and which of its lines is read.
struct Table<'a> {
    text: &'a [u8],
    records: csv::Reader<&'a [u8]>,
    /// The first byte that has not been looked at, and its line.
    at: (usize, u64),
}

impl<'a> Table<'a> {
    fn new(text: &'a [u8]) -> Self {
        let first_line =
            text.split(|byte| b"\r\n".contains(byte)).find(|line| !line.is_empty()).unwrap_or_default();
        let fields = |separator: u8| {
            let mut record = ByteRecord::new();
            reader(first_line, separator).read_byte_record(&mut record).expect("memory can be read");
            record.len()
        };
        let separators = [b',', b';', b'\t'];
        let separator = (0..3).max_by_key(|&i| (fields(separators[i]), Reverse(i))).expect("there are three");
        Table { text, records: reader(text, separators[separator]), at: (0, 1) }
    }

    /// Reads the next record that has a field; its line, counted from 1. (The crate's own count stands at the end of the record
    /// before.)
    fn next(&mut self, record: &mut ByteRecord) -> Option<u64> {
        if !self
            .records
            .read_byte_record(record)
            .expect("memory can be read, and any number of fields is taken")
        {
            return None;
        }
        let start = record.position().expect("a record that was read has a place").byte() as usize;
        let is_end = |at: usize| matches!(self.text.get(at), Some(b'\r' | b'\n'));
        let (mut at, mut line) = self.at;
        while at < start || is_end(at) {
            // A carriage return ends a line, unless the line feed behind it does.
            line += u64::from(is_end(at) && self.text.get(at..at + 2) != Some(b"\r\n"));
            at += 1;
        }
        self.at = (at, line);
        Some(line)
    }
}

fn reader(text: &[u8], separator: u8) -> csv::Reader<&[u8]> {
    ReaderBuilder::new().delimiter(separator).has_headers(false).flexible(true).from_reader(text)
}

/// Where in a line the fields stand.
struct Columns {
    file: usize,
    class: usize,
    domain: usize,
    group: Option<usize>,
    split: Option<usize>,
    /// What the others are called.
    unread: Vec<String>,
}

impl Columns {
    fn find(header: &[String], named: &[String]) -> Problem<Self> {
        let place = |what: &str| -> Problem<Option<usize>> {
            let asked = named.iter().find_map(|column| column.strip_prefix(what)?.strip_prefix('='));
            let name = asked.unwrap_or(what);
            let places = |is_it: &dyn Fn(&str) -> bool| -> Vec<usize> {
                (0..header.len()).filter(|&i| is_it(&header[i])).collect()
            };
            let exact = places(&|found| found == name);
            let found = match exact.is_empty() {
                true => places(&|found| found.to_lowercase() == name.to_lowercase()),
                false => exact,
            };
            match found[..] {
                [] if asked.is_some() => Err(format!("{}, asked for as {what}", no_column(name, header))),
                [] => Ok(None),
                [only] => Ok(Some(only)),
                _ => Err(format!("it has {} columns {name:?}, expected one", found.len())),
            }
        };
        let needed = |what: &str| {
            place(what)?.ok_or_else(|| {
                format!("{}; --columns {what}=NAME says what it is called", no_column(what, header))
            })
        };
        let [file, class, domain] = [needed("file")?, needed("class")?, needed("domain")?];
        let [group, split] = [place("group")?, place("split")?];
        let read = [Some(file), Some(class), Some(domain), group, split];
        let unread = (0..header.len()).filter(|&i| !read.contains(&Some(i)) && !header[i].is_empty());
        Ok(Columns { file, class, domain, group, split, unread: unread.map(|i| header[i].clone()).collect() })
    }
}

/// The sentence about a column that is missing, with the first of those that are there.
fn no_column(name: &str, header: &[String]) -> String {
    let short = |name: &String| format!("{:?}", name.chars().take(40).collect::<String>());
    let mut known = header.iter().take(12).map(short).collect::<Vec<_>>().join(", ");
    if header.len() > 12 {
        known.push_str(", ...");
    }
    format!("it has no column {name:?}, but {known}")
}

/// A line that has been read.
struct Line {
    number: u64,
    /// With the numbers of its domain and class as they were met.
    picture: PictureFile,
    split: Option<Role>,
}

/// Names, numbered as they were met.
#[derive(Default)]
struct Numbered {
    names: Names,
    numbers: BTreeMap<String, u32>,
}

impl Numbered {
    fn number(&mut self, spelled: &str) -> u32 {
        let next = self.numbers.len() as u32;
        *self.numbers.entry(self.names.add(spelled)).or_insert(next)
    }

    /// What the name of this number is.
    fn name(&self, number: u32) -> &str {
        self.numbers.iter().find(|&(_, &other)| other == number).map_or("", |(name, _)| name)
    }

    /// For each number the place of its name among the sorted ones.
    fn places(&self) -> Vec<u32> {
        let mut places = vec![0; self.numbers.len()];
        for (place, &number) in (0..).zip(self.numbers.values()) {
            places[number as usize] = place;
        }
        places
    }
}

/// What has been read of a list.
struct Found<'a> {
    root: &'a Path,
    places: Places<'a>,
    domains: Numbered,
    classes: Numbered,
    /// Of each domain.
    groups: BTreeMap<String, Names>,
    /// The line of each file.
    seen: BTreeMap<PathBuf, usize>,
    lines: Vec<Line>,
}

impl<'a> Found<'a> {
    fn new(root: &'a Path, places: Places<'a>) -> Self {
        let (domains, classes) = (Numbered::default(), Numbered::default());
        Found {
            root,
            places,
            domains,
            classes,
            groups: BTreeMap::new(),
            seen: BTreeMap::new(),
            lines: Vec::new(),
        }
    }

    /// Takes a line; or what is wrong with it.
    fn add(&mut self, number: u64, columns: &Columns, fields: &[&str]) -> Problem<()> {
        let [file, domain, class] = [columns.file, columns.domain, columns.class].map(|at| fields[at]);
        let [group, split] = [columns.group, columns.split].map(|at| at.map_or("", |at| fields[at]));
        if file.is_empty() {
            return Err("names no file".into());
        }
        if domain.is_empty() {
            return Err("has no domain".into());
        }
        let split = split::of_word(split)?;
        let path = self.root.join(file);
        let real = (self.places)(&path).map_err(|cause| match cause.kind() {
            ErrorKind::NotFound => {
                format!("names {file:?}, which is not there: there is no {}", shown(&path))
            }
            _ => format!("names {file:?}, which cannot be read: {cause}"),
        })?;
        let has_no_class = class.is_empty() || is_without_class(class) || split == Some(Role::Unlabelled);
        let class = if has_no_class { UNLABELLED } else { self.classes.number(class) };
        let group = match group {
            "" => String::new(),
            _ => self.groups.entry(composed(domain)).or_default().add(group),
        };
        let domain = self.domains.number(domain);
        if let Some(&first) = self.seen.get(&real) {
            return Err(self.again(file, domain, class, &self.lines[first]));
        }
        self.seen.insert(real, self.lines.len());
        self.lines.push(Line { number, picture: PictureFile { path, domain, class, group }, split });
        Ok(())
    }

    /// The sentence about a file that an earlier line has named.
    fn again(&self, file: &str, domain: u32, class: u32, first: &Line) -> String {
        let class_name = |class| match class {
            UNLABELLED => "no class".to_owned(),
            class => format!("the class {:?}", self.classes.name(class)),
        };
        let (line, known) = (first.number, &first.picture);
        if known.domain != domain {
            let [here, there] = [domain, known.domain].map(|domain| self.domains.name(domain));
            return format!("puts {file:?} into the domain {here:?}, but line {line} into {there:?}");
        }
        if known.class != class {
            let [here, there] = [class, known.class].map(class_name);
            return format!("gives {file:?} {here}, but line {line} {there}");
        }
        format!("names {file:?} again, which line {line} has named")
    }

    fn listing(self) -> Problem<Listing> {
        let Found { root, domains, classes, groups, mut lines, seen, .. } = self;
        drop(seen);
        if lines.is_empty() {
            return Err("it names no picture, expected a line for each below that of the columns".into());
        }
        if classes.numbers.is_empty() {
            return Err("none of its pictures has a class".into());
        }
        let split = split::named(&lines, &domains, root)?;
        let mut notices =
            [domains.names.notices(["domain", "domains"]), classes.names.notices(["class", "classes"])]
                .concat();
        notices.extend(group_notices(&groups));
        let (domain_places, class_places) = (domains.places(), classes.places());
        for Line { picture, .. } in &mut lines {
            picture.domain = domain_places[picture.domain as usize];
            // UNLABELLED is no place, and stays.
            picture.class = class_places.get(picture.class as usize).copied().unwrap_or(UNLABELLED);
        }
        let mut files: Vec<PictureFile> = lines.into_iter().map(|line| line.picture).collect();
        files.sort_by(|a, b| {
            let key = |file: &PictureFile| (file.domain, file.class);
            let names = || {
                (&a.group, a.path.as_os_str().as_encoded_bytes())
                    .cmp(&(&b.group, b.path.as_os_str().as_encoded_bytes()))
            };
            key(a).cmp(&key(b)).then_with(names)
        });
        let (domain_names, class_names) = (domains.names.into_sorted(), classes.names.into_sorted());
        Ok(Listing { root: root.to_path_buf(), files, domain_names, class_names, notices, split })
    }
}

#[cfg(test)]
mod tests;
