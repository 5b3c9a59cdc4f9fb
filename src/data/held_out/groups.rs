//! Which groups of a domain are held back, so that of each class nearly the wanted share is.
//!
//! A group is held back whole or not at all. Of each class a number of images is wanted; the deviation of a choice is the sum, over
//! the classes, of how many images more or fewer are held back, and a choice is allowed if an image of each class is left to be
//! trained on. Groups are walked through in order, and one is taken if no class exceeds its number by it: where every group is one
//! image, that is all. Else the choice is improved: the best change of one group (taken or put back), of two, of three and so on is
//! made as long as one brings the deviation down. Classes that no group has in common are chosen for apart.
//!
//! All changes of so many groups are too many: of two there are 50 million in 10,000 groups. They are made of the groups nearest to
//! the border between those that were taken and those that were not, as many as give no more than [`MOST_CHANGES`]. Up to 17 groups
//! those are all, so that the choice is one of the least deviation. Where groups are very many and of very many classes each, the
//! search ends by [`MOST_WORK`]. Nothing is counted in time: the same groups give the same choice.

/// How many groups' changes are looked at in search of one.
const MOST_CHANGES: usize = 1 << 17;

/// How much is tried for a domain, counted in classes of changed groups: two seconds or so.
const MOST_WORK: usize = 1 << 31;

/// For each group whether it is held back, where `share` of the images of each class is wanted. `groups` has for each, in the order
/// in which they are to be preferred, the images of its classes as (class, images), each class once.
pub(super) fn choose(groups: &[Vec<(usize, usize)>], share: f64) -> Vec<bool> {
    let (wanted, all) = wanted(groups, share);
    let mut choice = Choice {
        groups,
        taken: vec![0; all.len()],
        is_taken: vec![false; groups.len()],
        deviation: wanted.iter().sum(),
        used_up: 0,
        work: 0,
        wanted,
        all,
    };
    for (number, group) in groups.iter().enumerate() {
        if group.iter().all(|&(class, images)| choice.taken[class] + images <= choice.wanted[class]) {
            choice.change(number);
        }
    }
    connected(groups, choice.all.len()).iter().for_each(|together| choice.improve(together));
    choice.is_taken
}

/// The images of each class that are to be held back, and those that there are. One at least is left to be trained on, so that
/// a class that only one group has gives none.
fn wanted(groups: &[Vec<(usize, usize)>], share: f64) -> (Vec<usize>, Vec<usize>) {
    let classes = groups.iter().flatten().map(|&(class, _)| class + 1).max().unwrap_or(0);
    let (mut all, mut groups_of) = (vec![0; classes], vec![0; classes]);
    for &(class, images) in groups.iter().flatten() {
        all[class] += images;
        groups_of[class] += 1;
    }
    let wanted = (all.iter().zip(groups_of))
        .map(|(&images, groups)| match groups {
            0 | 1 => 0,
            _ => ((share * images as f64).round() as usize).min(images - 1),
        })
        .collect();
    (wanted, all)
}

/// The groups in sets that have no class in common, each in order.
fn connected(groups: &[Vec<(usize, usize)>], classes: usize) -> Vec<Vec<usize>> {
    // Each class leads, by way of others, to the first that it is connected with.
    let mut before: Vec<usize> = (0..classes).collect();
    let first = |before: &mut Vec<usize>, mut class: usize| {
        while before[class] != class {
            before[class] = before[before[class]];
            class = before[class];
        }
        class
    };
    for group in groups {
        for pair in group.windows(2) {
            let (one, other) = (first(&mut before, pair[0].0), first(&mut before, pair[1].0));
            before[one.max(other)] = one.min(other);
        }
    }
    let mut sets = vec![Vec::new(); classes];
    for (number, group) in groups.iter().enumerate() {
        if let Some(&(class, _)) = group.first() {
            sets[first(&mut before, class)].push(number);
        }
    }
    sets.retain(|set| !set.is_empty());
    sets
}

struct Choice<'a> {
    groups: &'a [Vec<(usize, usize)>],
    /// The images of each class that are to be held back, and those that there are.
    wanted: Vec<usize>,
    all: Vec<usize>,
    /// The images of each class that are held back.
    taken: Vec<usize>,
    is_taken: Vec<bool>,
    /// The sum of what these are more or fewer than wanted.
    deviation: usize,
    /// The classes of which every image is held back.
    used_up: usize,
    /// The classes of the groups that were changed, so far.
    work: usize,
}

impl Choice<'_> {
    /// Takes a group, or puts it back.
    fn change(&mut self, group: usize) {
        self.work += self.groups[group].len();
        let is_taken = &mut self.is_taken[group];
        for &(class, images) in &self.groups[group] {
            let (taken, wanted, all) = (&mut self.taken[class], self.wanted[class], self.all[class]);
            self.deviation -= taken.abs_diff(wanted);
            self.used_up -= usize::from(*taken == all);
            *taken = if *is_taken { *taken - images } else { *taken + images };
            self.deviation += taken.abs_diff(wanted);
            self.used_up += usize::from(*taken == all);
        }
        *is_taken = !*is_taken;
    }

    /// Makes the best changes of these groups, which have no class in common with others, until none brings the deviation down.
    fn improve(&mut self, groups: &[usize]) {
        let mut classes: Vec<usize> =
            groups.iter().flat_map(|&group| &self.groups[group]).map(|&(class, _)| class).collect();
        classes.sort_unstable();
        classes.dedup();
        let mut size = 1;
        let is_off = |choice: &Self| classes.iter().any(|&class| choice.taken[class] != choice.wanted[class]);
        while is_off(self) && self.work < MOST_WORK {
            let near = self.near_the_border(groups, most_groups(size));
            if near.len() < size {
                return;
            }
            let mut best = (self.deviation, Vec::new());
            self.look_for(&near, size, &mut Vec::with_capacity(size), &mut best);
            size = if best.1.is_empty() { size + 1 } else { 1 };
            best.1.into_iter().for_each(|group| self.change(group));
        }
    }

    /// So many of the groups: the first that are not taken, and the last that are.
    fn near_the_border(&self, groups: &[usize], most: usize) -> Vec<usize> {
        let (mut taken, mut others): (Vec<usize>, Vec<usize>) =
            groups.iter().partition(|&&group| self.is_taken[group]);
        taken.reverse();
        if groups.len() > most {
            let of_taken = taken.len().min((most / 2).max(most.saturating_sub(others.len())));
            taken.truncate(of_taken);
            others.truncate(most - of_taken);
        }
        [others, taken].concat()
    }

    /// Looks for the first change of `size` of these groups, besides those that are `changed`, with the least deviation.
    fn look_for(
        &mut self,
        groups: &[usize],
        size: usize,
        changed: &mut Vec<usize>,
        best: &mut (usize, Vec<usize>),
    ) {
        for (place, &group) in groups.iter().enumerate().take(groups.len() + 1 - size) {
            self.change(group);
            changed.push(group);
            if size > 1 {
                self.look_for(&groups[place + 1..], size - 1, changed, best);
            } else if self.used_up == 0 && self.deviation < best.0 {
                *best = (self.deviation, changed.clone());
            }
            changed.pop();
            self.change(group);
        }
    }
}

/// Of how many groups there are at most [`MOST_CHANGES`] changes of up to `size` of them, and no more than that in any case.
fn most_groups(size: usize) -> usize {
    let mut groups = 0;
    // The changes of 0, 1, ... `size` of the groups.
    let mut changes = vec![0; size + 1];
    changes[0] = 1;
    loop {
        (1..=size).rev().for_each(|of| changes[of] += changes[of - 1]);
        if changes.iter().sum::<usize>() > MOST_CHANGES {
            return groups;
        }
        groups += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    /// How far a choice is from what is wanted, class by class; nothing where a class has no image left, or a class that one
    /// group has is touched.
    fn deviations(groups: &[Vec<(usize, usize)>], share: f64, is_taken: &[bool]) -> Option<Vec<usize>> {
        let (wanted, all) = wanted(groups, share);
        let mut taken = vec![0; all.len()];
        for (group, _) in groups.iter().zip(is_taken).filter(|(_, is_taken)| **is_taken) {
            group.iter().for_each(|&(class, images)| taken[class] += images);
        }
        let is_allowed = taken.iter().zip(&all).all(|(&taken, &all)| all == 0 || taken < all);
        is_allowed.then(|| taken.iter().zip(&wanted).map(|(taken, &wanted)| taken.abs_diff(wanted)).collect())
    }

    /// The least sum of deviations of all choices, each looked at.
    fn least(groups: &[Vec<(usize, usize)>], share: f64) -> usize {
        let choices = (0..1_usize << groups.len()).filter_map(|choice| {
            let is_taken: Vec<bool> = (0..groups.len()).map(|group| choice >> group & 1 == 1).collect();
            deviations(groups, share, &is_taken)
        });
        choices.map(|deviations| deviations.iter().sum()).min().unwrap()
    }

    fn numbers(choice: &[bool]) -> Vec<usize> {
        (0..choice.len()).filter(|&group| choice[group]).collect()
    }

    #[test]
    fn choices_made_by_hand() {
        let of_one = |sizes: &[usize]| sizes.iter().map(|&images| vec![(0, images)]).collect::<Vec<_>>();
        for (groups, share, expected) in [
            // None, or all; a single group; nothing wanted.
            (of_one(&[]), 0.2, &[][..]),
            (of_one(&[10]), 0.9, &[]),
            (of_one(&[3, 3, 3]), 0.0, &[]),
            // The first, as single images are.
            (of_one(&[1; 10]), 0.2, &[0, 1]),
            (of_one(&[1, 1]), 0.9, &[0]),
            (of_one(&[5, 5, 5, 5, 5]), 0.2, &[0]),
            // The first is too large, the second fits.
            (of_one(&[8, 2, 2, 8]), 0.1, &[1]),
            // 20 of 100 are nearer to none than to 50.
            (of_one(&[50, 50]), 0.2, &[]),
            (of_one(&[50, 50]), 0.3, &[0]),
            // Walking takes 7 of the 10 that are wanted; both of five are better.
            (of_one(&[7, 5, 5, 33]), 0.2, &[1, 2]),
            // Never a class's only group, though it is the first and the share of the other class asks for it.
            (vec![vec![(0, 4), (1, 1)], vec![(0, 4)], vec![(0, 12)]], 0.2, &[1]),
            // Never all groups of a class, though that would be nearer.
            (vec![vec![(0, 1), (1, 9)], vec![(0, 1), (1, 9)], vec![(1, 2)]], 0.9, &[0, 2]),
            // Two classes, one of each: the patient with both serves both.
            (vec![vec![(0, 9)], vec![(0, 2), (1, 2)], vec![(1, 8)]], 0.2, &[1]),
        ] {
            assert_eq!(numbers(&choose(&groups, share)), expected, "{share} of {groups:?}");
        }
    }

    /// So many groups of images of some classes each.
    fn random(seed: u64, most_groups: usize, classes: usize, most_images: usize) -> Vec<Vec<(usize, usize)>> {
        let (draws, mut drawn) = (Stream::new(seed, "groups", &[]), 0);
        let mut below = |end: usize| {
            drawn += 1;
            draws.below(drawn, end as u64) as usize
        };
        (0..=below(most_groups))
            .map(|_| {
                let first = below(classes);
                let of_class = |class: usize, images: usize| (images > 0).then_some((class, images));
                let mut group: Vec<(usize, usize)> = (0..classes)
                    .filter_map(|class| match class == first {
                        true => of_class(class, 1 + below(most_images)),
                        false => of_class(class, below(most_images).saturating_sub(most_images / 2)),
                    })
                    .collect();
                group.truncate(if below(3) == 0 { 1 } else { classes });
                group
            })
            .collect()
    }

    #[test]
    fn few_groups_are_chosen_as_well_as_can_be() {
        for seed in 0..1_000 {
            let classes = 1 + seed as usize % 4;
            let share = [0.2, 0.2, 0.1, 0.5, 0.9][seed as usize % 5];
            let groups = random(seed, 12, classes, [1, 3, 20, 300][seed as usize / 7 % 4]);
            let choice = choose(&groups, share);
            let found = deviations(&groups, share, &choice).expect("an image of each class is left");
            assert_eq!(found.iter().sum::<usize>(), least(&groups, share), "{share} of {groups:?}");
        }
    }

    #[test]
    fn small_groups_of_one_class_come_within_an_image() {
        for seed in 0..1_000 {
            let groups: Vec<Vec<(usize, usize)>> =
                random(seed, 200, 5, 2).into_iter().map(|group| vec![group[0]]).collect();
            let share = [0.2, 0.1, 0.5, 0.9][seed as usize % 4];
            let found = deviations(&groups, share, &choose(&groups, share)).unwrap();
            assert!(found.iter().all(|&images| images <= 1), "{found:?} for {share} of {groups:?}");
        }
    }

    /// As many patients as any lab has, with images of one class each or of all.
    #[test]
    fn many_groups_come_near() {
        for (classes, most_images) in [(1, 30), (2, 40), (10, 12)] {
            let groups: Vec<Vec<(usize, usize)>> =
                (0..10).flat_map(|seed| random(seed, 2_000, classes, most_images)).collect();
            let found = deviations(&groups, 0.2, &choose(&groups, 0.2)).unwrap();
            assert!(found.iter().all(|&images| images <= 1), "{found:?} of {} groups", groups.len());
        }
    }
}
