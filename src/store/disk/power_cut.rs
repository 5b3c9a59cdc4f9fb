//! What a disk may hold after a power cut, for tests.
//!
//! POSIX promises the contents of a file when it has been forced to the disk, and the entries of a folder when the folder
//! has been; nothing else. So after a cut
//!
//! * of the contents written since a file was forced last, any part may be there: none, all, the first half, or their
//!   length with zeros or noise in their place;
//! * of the entries changed since a folder was forced last, any subset may be there. A later change does not need an
//!   earlier one, and a renaming is two changes: the new name and the vanishing of the old one.
//!
//! This allows more than any file system in use does (ext4 with its ordered journal allows few of these states), so what
//! survives here survives there.

use super::trial::Change;
use crate::rng::Stream;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Files and folders by their paths within a tree; folders have no bytes.
pub(super) type Tree = BTreeMap<PathBuf, Option<Rc<Vec<u8>>>>;

/// A file or a folder, whatever its names are.
#[derive(Clone, Debug)]
enum Node {
    /// The contents that were forced to the disk last, and those that a program sees.
    File { safe: Rc<Vec<u8>>, now: Rc<Vec<u8>> },
    /// The entries that were forced to the disk last, those that a program sees, and what lies between.
    Folder { safe: Entries, now: Entries, unsafe_changes: Vec<EntryChange> },
}

/// Names with the numbers of their nodes.
type Entries = BTreeMap<OsString, usize>;

#[derive(Clone, Debug)]
enum EntryChange {
    Put(OsString, usize),
    Take(OsString),
}

impl EntryChange {
    fn apply(&self, entries: &mut Entries) {
        match self {
            EntryChange::Put(name, node) => entries.insert(name.clone(), *node),
            EntryChange::Take(name) => entries.remove(name),
        };
    }
}

/// A folder on a disk whose power may be cut.
#[derive(Clone, Debug)]
pub(super) struct Model {
    root: PathBuf,
    /// The first is the root.
    nodes: Vec<Node>,
}

impl Model {
    /// The folder `root` as it is, everything in it forced to the disk.
    pub(super) fn of(root: &Path) -> Self {
        let mut model = Self { root: root.into(), nodes: vec![] };
        model.read(root);
        model
    }

    fn read(&mut self, path: &Path) -> usize {
        let number = self.nodes.len();
        if path.is_dir() {
            self.nodes.push(empty_folder());
            let mut entries = Entries::new();
            for entry in fs::read_dir(path).unwrap() {
                let entry = entry.unwrap();
                entries.insert(entry.file_name(), self.read(&entry.path()));
            }
            self.nodes[number] = Node::Folder { safe: entries.clone(), now: entries, unsafe_changes: vec![] };
        } else {
            let bytes = Rc::new(fs::read(path).unwrap());
            self.nodes.push(Node::File { safe: bytes.clone(), now: bytes });
        }
        number
    }

    /// Takes a change over. What happens outside of the root is not followed.
    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::Created(path) => {
                self.create(path, Node::File { safe: Rc::default(), now: Rc::default() });
            }
            Change::Appended(path, bytes) => {
                let file = self.find(path).expect("a file that is open");
                Rc::make_mut(self.contents(file)).extend(bytes);
            }
            Change::Cut(path, length) => {
                let file = self.find(path).expect("a file that is open");
                Rc::make_mut(self.contents(file)).truncate(usize::try_from(*length).unwrap());
            }
            Change::FileSynced(path) => {
                let file = self.find(path).expect("a file that is open");
                let Node::File { safe, now } = &mut self.nodes[file] else { panic!("{file} is a folder") };
                safe.clone_from(now);
            }
            Change::Renamed(from, to) => {
                let node = self.find(from).expect("a file to rename");
                self.change(to, |name| EntryChange::Put(name, node));
                self.change(from, EntryChange::Take);
            }
            Change::FileRemoved(path) | Change::FolderRemoved(path) => self.change(path, EntryChange::Take),
            Change::FolderCreated(path) => self.create(path, empty_folder()),
            Change::FolderSynced(path) => {
                let Some(folder) = self.find(path) else { return };
                let Node::Folder { safe, now, unsafe_changes } = &mut self.nodes[folder] else {
                    panic!("{} is no folder", path.display());
                };
                safe.clone_from(now);
                unsafe_changes.clear();
            }
        }
    }

    fn create(&mut self, path: &Path, node: Node) {
        let number = self.nodes.len();
        self.nodes.push(node);
        self.change(path, |name| EntryChange::Put(name, number));
    }

    fn change(&mut self, path: &Path, of: impl FnOnce(OsString) -> EntryChange) {
        let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
            panic!("{}", path.display())
        };
        let folder = self.find(folder).expect("a folder of the model");
        let Node::Folder { now, unsafe_changes, .. } = &mut self.nodes[folder] else { panic!("{folder}") };
        let change = of(name.into());
        change.apply(now);
        unsafe_changes.push(change);
    }

    fn find(&self, path: &Path) -> Option<usize> {
        let within = path.strip_prefix(&self.root).ok()?;
        within.iter().try_fold(0, |node, name| match &self.nodes[node] {
            Node::Folder { now, .. } => now.get(name).copied(),
            Node::File { .. } => None,
        })
    }

    fn contents(&mut self, file: usize) -> &mut Rc<Vec<u8>> {
        match &mut self.nodes[file] {
            Node::File { now, .. } => now,
            Node::Folder { .. } => panic!("{file} is a folder"),
        }
    }

    /// What is on the disk if nothing is kept that was not forced to it.
    pub(super) fn least(&self) -> Tree {
        self.tree(&mut |_| 0)
    }

    /// What may be on the disk if the power is cut now: everything possible if that is no more than `most`; otherwise
    /// the extremes, the first and a sample of the others, `most` each.
    pub(super) fn after_a_cut(&self, most: usize) -> BTreeSet<Tree> {
        let mut states = BTreeSet::from([self.least(), self.tree(&mut |ways| ways - 1)]);
        // Choices and how many ways there were: an odometer whose wheels depend on those before them.
        let mut wheels: Vec<(usize, usize)> = vec![];
        for _ in 0..most {
            let mut next = 0;
            states.insert(self.tree(&mut |ways| {
                if next == wheels.len() {
                    wheels.push((0, ways));
                }
                next += 1;
                wheels[next - 1].0
            }));
            while wheels.pop_if(|(choice, ways)| *choice + 1 == *ways).is_some() {}
            match wheels.last_mut() {
                Some((choice, _)) => *choice += 1,
                None => return states,
            }
        }
        for sample in 0..most as u64 {
            let stream = Stream::new(sample, "power cut", &[]);
            let mut index = 0;
            states.insert(self.tree(&mut |ways| {
                index += 1;
                stream.below(index, ways as u64) as usize
            }));
        }
        states
    }

    /// The tree in which each unsafe thing is kept in one of so many ways as `choose` is told: the first loses it, the
    /// last keeps it.
    fn tree(&self, choose: &mut dyn FnMut(usize) -> usize) -> Tree {
        let mut growing = Growing { model: self, choose, chosen: BTreeMap::new(), tree: Tree::new() };
        growing.grow(0, Path::new(""));
        growing.tree
    }
}

struct Growing<'a> {
    model: &'a Model,
    choose: &'a mut dyn FnMut(usize) -> usize,
    /// A file may have two names when half of a renaming is lost: its contents are chosen once.
    chosen: BTreeMap<usize, Rc<Vec<u8>>>,
    tree: Tree,
}

impl Growing<'_> {
    fn grow(&mut self, node: usize, path: &Path) {
        match &self.model.nodes[node] {
            Node::File { safe, now } => {
                let bytes = self.chosen.entry(node).or_insert_with(|| {
                    let mut ways = contents_after_a_cut(safe, now);
                    match ways.len() {
                        1 => ways.swap_remove(0),
                        count => ways.swap_remove((self.choose)(count)),
                    }
                });
                self.tree.insert(path.into(), Some(bytes.clone()));
            }
            Node::Folder { safe, unsafe_changes, .. } => {
                let mut entries = safe.clone();
                for change in unsafe_changes {
                    if (self.choose)(2) == 1 {
                        change.apply(&mut entries);
                    }
                }
                if path != Path::new("") {
                    self.tree.insert(path.into(), None);
                }
                for (name, node) in entries {
                    self.grow(node, &path.join(name));
                }
            }
        }
    }
}

fn empty_folder() -> Node {
    Node::Folder { safe: Entries::new(), now: Entries::new(), unsafe_changes: vec![] }
}

/// What may be in a file of which `safe` was forced to the disk last; `safe` first and `now` last.
fn contents_after_a_cut(safe: &Rc<Vec<u8>>, now: &Rc<Vec<u8>>) -> Vec<Rc<Vec<u8>>> {
    if safe == now {
        return vec![now.clone()];
    }
    let common = safe.iter().zip(now.iter()).take_while(|(a, b)| a == b).count();
    let (kept, new) = now.split_at(common);
    let with = |rest: Vec<u8>| Rc::new([kept, &rest].concat());
    // Line breaks and quotes, so that what reads lines has something to stumble over.
    let noise = |length: usize| b"\n{\"\xff\n\n}\x00".iter().copied().cycle().take(length).collect();
    let mut ways = vec![
        safe.clone(),
        with(vec![]),
        with(new[..new.len() / 2].to_vec()),
        with(vec![0; new.len()]),
        with(noise(new.len())),
    ];
    ways.retain(|way| way != now);
    ways.dedup();
    ways.push(now.clone());
    ways
}

/// Makes the folder `root`, which is empty, hold `tree`.
pub(super) fn build(tree: &Tree, root: &Path) {
    for (path, bytes) in tree {
        match bytes {
            Some(bytes) => fs::write(root.join(path), &**bytes).unwrap(),
            None => fs::create_dir(root.join(path)).unwrap(),
        }
    }
}

/// The folder `root` as a tree.
pub(super) fn tree_of(root: &Path) -> Tree {
    Model::of(root).least()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(text: &str) -> Option<Rc<Vec<u8>>> {
        Some(Rc::new(text.as_bytes().to_vec()))
    }

    fn tree(files: &[(&str, &str)]) -> Tree {
        files.iter().map(|&(path, text)| (path.into(), bytes(text))).collect()
    }

    fn model() -> Model {
        Model { root: "/disk".into(), nodes: vec![empty_folder()] }
    }

    /// The careless way to replace a file, which the model must punish: forced neither before nor after the renaming.
    #[test]
    fn what_is_not_forced_is_lost_in_every_way() {
        let mut model = model();
        let (old, new) = (PathBuf::from("/disk/a"), PathBuf::from("/disk/b"));
        for change in [
            Change::Created(old.clone()),
            Change::Appended(old.clone(), b"old".to_vec()),
            Change::FileSynced(old.clone()),
            Change::FolderSynced("/disk".into()),
        ] {
            model.apply(&change);
        }
        assert_eq!(model.after_a_cut(100), BTreeSet::from([tree(&[("a", "old")])]));
        model.apply(&Change::Created(new.clone()));
        model.apply(&Change::Appended(new.clone(), b"ok".to_vec()));
        model.apply(&Change::Renamed(new.clone(), old.clone()));
        let contents = ["", "o", "\0\0", "\n{", "ok"];
        let mut expected = BTreeSet::from([tree(&[("a", "old")])]);
        for new in contents {
            // The creation, the new name, the vanishing of the old name: each kept or lost.
            expected.insert(tree(&[("a", "old"), ("b", new)]));
            expected.insert(tree(&[("a", new)]));
            expected.insert(tree(&[("a", new), ("b", new)]));
        }
        assert_eq!(model.after_a_cut(100), expected);
        assert_eq!(model.least(), tree(&[("a", "old")]));
        // A sample holds nothing else.
        assert!(model.after_a_cut(3).is_subset(&expected) && model.after_a_cut(3).len() > 3);
        model.apply(&Change::FolderSynced("/disk".into()));
        let expected: BTreeSet<Tree> = contents.iter().map(|new| tree(&[("a", new)])).collect();
        assert_eq!(model.after_a_cut(100), expected);
    }

    #[test]
    fn lines_may_be_torn_and_folders_vanish() {
        let mut model = model();
        let lines = PathBuf::from("/disk/run/lines");
        model.apply(&Change::FolderCreated("/disk/run".into()));
        model.apply(&Change::Created(lines.clone()));
        model.apply(&Change::Appended(lines.clone(), b"1\n".to_vec()));
        model.apply(&Change::FileSynced(lines.clone()));
        model.apply(&Change::FolderSynced("/disk/run".into()));
        // All that was forced, in a folder that was not.
        assert_eq!(model.least(), Tree::new());
        model.apply(&Change::FolderSynced("/disk".into()));
        model.apply(&Change::Appended(lines.clone(), b"2\n".to_vec()));
        let found: BTreeSet<Option<Rc<Vec<u8>>>> = model
            .after_a_cut(100)
            .into_iter()
            .map(|mut tree| tree.remove(Path::new("run/lines")).unwrap())
            .collect();
        let expected = ["1\n", "1\n2", "1\n\0\0", "1\n\n{", "1\n2\n"].map(bytes);
        assert_eq!(found, BTreeSet::from(expected));
        model.apply(&Change::Cut(lines, 0));
        let least = model.least();
        assert_eq!(least[Path::new("run/lines")], bytes("1\n"));
    }
}
