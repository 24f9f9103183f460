//! Who gets which rank: what all processes conclude alike from the same entries.

use super::run::Record;
use crate::rendezvous::{Member, Ranks};
use std::collections::{BTreeMap, BTreeSet};

/// What the entries of a job come to. The lower number of a process, the earlier it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// All ranks are there.
    Complete(Vec<Member>),
    /// The first of those that are not.
    Missing(Vec<usize>),
}

/// Why a process has no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misfit {
    /// An earlier one has this rank.
    Taken(u32),
    /// There is no such rank.
    Beyond(u32),
    /// The earlier ones say another size.
    Size(u32),
    /// So many ranks are free.
    Full(u32),
}

/// Ranks that an error names.
const NAMED: usize = 16;

/// The size that the job has: that of the first process that says one.
pub(super) fn size(entries: &BTreeMap<u32, Record>) -> Option<u32> {
    entries.values().find_map(|record| record.registration.size)
}

/// Gives each process its ranks. Those that have no place are left out, with the reason.
pub(super) fn form(
    entries: &BTreeMap<u32, Record>,
    size: u32,
) -> (Standing, BTreeMap<u32, Misfit>) {
    let mut free: BTreeSet<u32> = (0..size).collect();
    let mut misfits = BTreeMap::new();
    let mut placed: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (process, record) in entries {
        let registration = &record.registration;
        let misfit = match &registration.ranks {
            _ if registration.size.is_some_and(|own| own != size) => Some(Misfit::Size(size)),
            Ranks::Given(ranks) => {
                let mut seen = BTreeSet::new();
                let wrong = ranks.iter().find(|rank| !free.contains(rank) || !seen.insert(**rank));
                wrong.map(|rank| match *rank < size {
                    true => Misfit::Taken(*rank),
                    false => Misfit::Beyond(*rank),
                })
            }
            Ranks::Any(_) => continue,
        };
        match (misfit, &registration.ranks) {
            (None, Ranks::Given(ranks)) => {
                free.retain(|rank| !ranks.contains(rank));
                placed.insert(*process, ranks.clone());
            }
            (Some(misfit), _) => drop(misfits.insert(*process, misfit)),
            _ => {}
        }
    }
    for (process, record) in entries {
        let Ranks::Any(count) = record.registration.ranks else { continue };
        if misfits.contains_key(process) {
            continue;
        }
        if free.len() < count as usize {
            misfits.insert(*process, Misfit::Full(free.len() as u32));
            continue;
        }
        let ranks: Vec<u32> = free.iter().take(count as usize).copied().collect();
        free.retain(|rank| !ranks.contains(rank));
        placed.insert(*process, ranks);
    }
    if !free.is_empty() {
        let missing = free.into_iter().take(NAMED).map(|rank| rank as usize).collect();
        return (Standing::Missing(missing), misfits);
    }
    let member = |(process, ranks): (u32, Vec<u32>)| {
        let registration = &entries.get(&process)?.registration;
        Some(Member {
            process,
            ranks,
            addresses: registration.addresses.clone(),
            machine: registration.machine.clone(),
            threads: registration.threads,
            cores: registration.cores,
            incarnation: 0,
            observed: None,
            fingerprint: registration.fingerprint,
        })
    };
    (Standing::Complete(placed.into_iter().filter_map(member).collect()), misfits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rendezvous::{Registration, Terms};
    use std::time::Duration;

    fn entries(all: &[(u32, Option<u32>, Ranks)]) -> BTreeMap<u32, Record> {
        let record = |(process, size, ranks): &(u32, Option<u32>, Ranks)| {
            let registration = Registration {
                job: "job".to_owned(),
                size: *size,
                ranks: ranks.clone(),
                addresses: Vec::new(),
                machine: String::new(),
                threads: 1,
                cores: 0,
                after: None,
                terms: Terms::default(),
                fingerprint: None,
                model: String::new(),
            };
            (*process, Record { registration, silent: Duration::from_secs(1), id: 0 })
        };
        all.iter().map(record).collect()
    }

    fn ranks(standing: Standing) -> Vec<(u32, Vec<u32>)> {
        let Standing::Complete(members) = standing else { panic!("{standing:?}") };
        members.into_iter().map(|member| (member.process, member.ranks)).collect()
    }

    #[test]
    fn given_ranks_first_then_the_lowest_that_are_free() {
        let all = entries(&[
            (1, Some(5), Ranks::Any(2)),
            (2, None, Ranks::Given(vec![0, 3])),
            (7, Some(5), Ranks::Any(1)),
        ]);
        assert_eq!(size(&all), Some(5));
        let (standing, misfits) = form(&all, 5);
        assert!(misfits.is_empty());
        assert_eq!(ranks(standing), [(1, vec![1, 2]), (2, vec![0, 3]), (7, vec![4])]);
    }

    #[test]
    fn who_comes_late_has_no_place() {
        let all = entries(&[
            (1, Some(2), Ranks::Given(vec![0])),
            (2, Some(2), Ranks::Given(vec![0])),
            (3, Some(3), Ranks::Given(vec![1])),
            (4, Some(2), Ranks::Given(vec![2])),
            (5, Some(2), Ranks::Any(2)),
        ]);
        let (standing, misfits) = form(&all, 2);
        assert_eq!(standing, Standing::Missing(vec![1]));
        let right = [
            (2, Misfit::Taken(0)),
            (3, Misfit::Size(2)),
            (4, Misfit::Beyond(2)),
            (5, Misfit::Full(1)),
        ];
        assert_eq!(misfits, BTreeMap::from(right));
    }
}
