//! The hall: jobs, limits, and what becomes of a broken job.

use proptest::prelude::*;
use std::time::Duration;

use super::{
    super::{
        job::tests::{any, decode, given, seen},
        protocol::Answer,
        pulse::{Death, Pulse},
    },
    *,
};

impl Hall {
    fn come(&mut self, registration: Registration) -> Result<(Ticket, Admitted), Refusal> {
        self.register(registration, seen(), Instant::now())
    }
}

fn hall() -> Hall {
    Hall::new(Limits { jobs: 2, ranks: 100, processes: 5 }, u32::MAX)
}

#[test]
fn jobs_are_kept_apart() {
    let mut hall = hall();
    let (app, _) = hall.come(given("App", 20, &[12])).unwrap();
    let (app1, _) = hall.come(given("App1", 3, &[2])).unwrap();
    assert_ne!(app.epoch, app1.epoch);
    hall.abort(app, 12, Cause::Died);
    assert!(hall.news(app1, &mut 0).is_empty());
}

#[test]
fn name_is_free_again_with_another_epoch_when_the_last_process_is_gone() {
    let mut hall = hall();
    let (one, _) = hall.come(given("j", 2, &[0])).unwrap();
    let (two, _) = hall.come(given("j", 2, &[1])).unwrap();
    assert_eq!(one.epoch, two.epoch);
    assert!(hall.depart(one, Departure::Left));
    let taken = hall.come(given("j", 2, &[1])).unwrap_err();
    assert_eq!(taken, Refusal::RankTaken { rank: 1 });
    hall.depart(two, Departure::Left);
    // The epoch after u32::MAX is not 0.
    let (again, admitted) = hall.come(given("j", 3, &[0])).unwrap();
    assert_eq!((one.epoch, again.epoch), (u32::MAX, 1));
    assert_eq!(admitted.incarnation, 0);
    // A stale ticket does nothing to the new run.
    assert!(!hall.depart(one, Departure::Died));
    assert!(hall.job(again).is_some());
}

#[test]
fn limits_are_refusals_and_leave_nothing_behind() {
    let mut hall = hall();
    let limit = |what, limit| Refusal::Limit { what, limit };
    let refused = |hall: &mut Hall, r| hall.come(r).unwrap_err();
    assert_eq!(refused(&mut hall, given("j", 101, &[0])), limit(Limit::Ranks, 100));
    assert_eq!(refused(&mut hall, any("j", 9, u32::MAX)), limit(Limit::Ranks, 100));
    assert_eq!(refused(&mut hall, given(&"j".repeat(257), 1, &[0])), limit(Limit::JobName, 256));
    assert_eq!(refused(&mut hall, given("j", 0, &[0])), Refusal::NoRanks);
    let unknown = Registration { size: None, ..given("j", 1, &[0]) };
    assert_eq!(refused(&mut hall, unknown), Refusal::SizeUnknown);
    let mut long = given("j", 1, &[0]);
    long.addresses = vec![("tcp".to_owned(), "a".repeat(1025))];
    assert_eq!(refused(&mut hall, long), limit(Limit::Address, 1024));
    assert!(matches!(refused(&mut hall, given("j", 2, &[2])), Refusal::RankOutOfRange { .. }));
    assert!(hall.names.is_empty() && hall.jobs.is_empty());

    let (first, _) = hall.come(any("a", 50, 1)).unwrap();
    hall.come(any("b", 50, 1)).unwrap();
    assert_eq!(refused(&mut hall, any("c", 50, 1)), limit(Limit::Jobs, 2));
    for _ in 0..3 {
        hall.come(any("b", 50, 1)).unwrap();
    }
    assert_eq!(refused(&mut hall, any("b", 50, 1)), limit(Limit::Processes, 5));
    hall.depart(first, Departure::Died);
    hall.come(any("c", 50, 1)).unwrap();
}

#[test]
fn closed_hall_tells_nobody() {
    let mut hall = hall();
    let (one, _) = hall.come(given("j", 2, &[0])).unwrap();
    let (two, _) = hall.come(given("j", 2, &[1])).unwrap();
    hall.close();
    assert!(!hall.depart(one, Departure::Died));
    assert_eq!(hall.news(two, &mut 0).len(), 1);
}

/// A job's life on a virtual clock: three processes, one falls silent, one leaves.
#[test]
fn silent_process_is_gone_after_its_term() {
    let silent = Duration::from_secs(8);
    let start = Instant::now();
    let mut hall = hall();
    let mut seats = (0..3)
        .map(|rank| {
            let (ticket, _) = hall.come(given("j", 3, &[rank])).unwrap();
            (ticket, Pulse::new(silent, start))
        })
        .collect::<Vec<_>>();
    for second in 1..=20 {
        let now = start + Duration::from_secs(second);
        for (ticket, pulse) in &mut seats {
            // Process 1 beats until second 5 only.
            if ticket.process != 1 || second <= 5 {
                pulse.heard(now);
            }
            if pulse.due() <= now
                && let Some(death) = pulse.check(now)
            {
                assert_eq!((ticket.process, second, death), (1, 13, Death::Silent));
                hall.depart(*ticket, Departure::Died);
                pulse.heard(now + silent * 10);
            }
        }
    }
    hall.depart(seats[2].0, Departure::Left);
    let told = decode(&hall.news(seats[0].0, &mut 0));
    assert_eq!(told[1..], [Answer::Gone { process: 1 }, Answer::Left { process: 2 }]);
}

fn after(ticket: Ticket, lost: Option<(u32, Cause)>) -> Option<After> {
    Some(After { epoch: ticket.epoch, process: ticket.process, lost })
}

fn again(size: u32, ticket: Ticket) -> Registration {
    Registration { after: after(ticket, None), ..any("j", size, 1) }
}

/// A complete job of so many processes with a rank each, on a hall with room.
fn complete(size: u32) -> (Hall, Vec<Ticket>) {
    let mut hall = Hall::new(Limits { jobs: 10, ranks: 100, processes: 50 }, 7);
    let tickets = (0..size).map(|rank| hall.come(given("j", size, &[rank])).unwrap().0);
    let tickets = tickets.collect();
    hall.stirred();
    (hall, tickets)
}

/// Processes and their ranks, as all are told.
fn members(hall: &Hall, ticket: Ticket) -> Vec<(u32, Vec<u32>)> {
    let told = decode(&hall.news(ticket, &mut 0));
    let Some(Answer::Complete { members, .. }) = told.into_iter().next() else { return vec![] };
    members.into_iter().map(|member| (member.process, member.ranks)).collect()
}

#[test]
fn next_epoch_is_whole_as_soon_as_all_are_there() {
    let (mut hall, old) = complete(4);
    hall.depart(old[1], Departure::Died);
    // The newcomer comes first and gets the vacant number; no other is to be had.
    let (newcomer, admitted) = hall.come(any("j", 4, 1)).unwrap();
    assert_eq!(admitted.ranks, [1]);
    assert_ne!(newcomer.epoch, old[0].epoch);
    let full = Refusal::JobFull { size: 4, free: 0, wanted: 1 };
    assert_eq!(hall.come(any("j", 4, 1)).unwrap_err(), full);
    assert_eq!(hall.come(given("j", 4, &[2])).unwrap_err(), Refusal::RankTaken { rank: 2 });
    let next: Vec<_> =
        [3, 0, 2].map(|rank: usize| hall.come(again(4, old[rank])).unwrap().0).into();
    let expected = vec![(0, vec![1]), (1, vec![3]), (2, vec![0]), (3, vec![2])];
    assert_eq!(members(&hall, newcomer), expected);
    assert_eq!(members(&hall, next[2]), expected);
    // Those who were waited for in the old epoch learn that nobody is left there.
    let told = decode(&hall.news(old[2], &mut 0));
    let moved = [3, 0].map(|process| Answer::Moved { process });
    assert_eq!(told[1..], [&[Answer::Gone { process: 1 }], &moved[..]].concat());
    // Their departure there is no news.
    for ticket in [old[0], old[2], old[3]] {
        assert!(!hall.depart(ticket, Departure::Left));
    }
    assert_eq!((hall.jobs.len(), hall.processes, hall.names["j"]), (1, 4, newcomer.epoch));
}

#[test]
fn survivors_close_ranks_after_the_grace() {
    let (mut hall, old) = complete(5);
    let start = Instant::now();
    hall.depart(old[0], Departure::Died);
    hall.depart(old[3], Departure::Left);
    let (first, _) = hall.register(again(5, old[4]), seen(), start).unwrap();
    let (_, second) = hall.register(again(5, old[1]), seen(), start).unwrap();
    assert_eq!(second.ranks, [1]);
    // One lives but does not come: it is waited for as long as the others have patience.
    assert_eq!(hall.due(first), Some(start + Duration::from_secs(30)));
    hall.depart(old[2], Departure::Died);
    assert!(hall.stirred().contains(&first.epoch), "it is another time now");
    let due = start + Duration::from_secs(5);
    assert_eq!(hall.due(first), Some(due));
    hall.expire(first, due.checked_sub(Duration::from_millis(1)).unwrap());
    assert_eq!(members(&hall, first), []);
    hall.expire(first, due);
    assert_eq!(hall.stirred(), [first.epoch]);
    assert_eq!(members(&hall, first), [(0, vec![1]), (1, vec![0])]);
    let goes_on = Refusal::GoesOn { size: 2, full: 5 };
    assert_eq!(hall.come(any("j", 5, 1)).unwrap_err(), goes_on);
    // Broken again, it wants its full size again.
    hall.depart(first, Departure::Died);
    let (third, admitted) = hall.come(any("j", 5, 4)).unwrap();
    assert_eq!(admitted.ranks, [1, 2, 3, 4]);
    let ticket = Ticket { epoch: first.epoch, process: second.process };
    hall.come(again(5, ticket)).unwrap();
    assert_eq!(members(&hall, third), [(0, vec![1, 2, 3, 4]), (1, vec![0])]);
}

#[test]
fn rejoins_that_cannot_be() {
    let refuse = |why| Err(Refusal::Rejoin(why));
    let (mut hall, old) = complete(3);
    let come = |hall: &mut Hall, r| hall.come(r).map(|_| ());
    assert_eq!(come(&mut hall, again(3, old[0])), refuse(RejoinRefusal::NotBroken));
    // Nobody speaks ill of himself, or of one who does not exist.
    for rank in [0, 3, u32::MAX] {
        let lost = after(old[0], Some((rank, Cause::Died)));
        let wrong = Registration { after: lost, ..any("j", 3, 1) };
        assert_eq!(come(&mut hall, wrong), refuse(RejoinRefusal::NotBroken));
    }
    let epoch = old[0].epoch;
    for (ticket, job) in [
        (Ticket { epoch: epoch + 1, process: 0 }, "j"),
        (Ticket { epoch, process: 9 }, "j"),
        (Ticket { epoch, process: 0 }, "other"),
    ] {
        let stranger = Registration { job: job.to_owned(), ..again(3, ticket) };
        let forgotten = RejoinRefusal::Forgotten { epoch: ticket.epoch };
        assert_eq!(come(&mut hall, stranger), refuse(forgotten));
    }
    let mismatch = Refusal::SizeMismatch { size: 3 };
    hall.depart(old[1], Departure::Died);
    assert_eq!(come(&mut hall, again(4, old[0])), Err(mismatch));
    assert_eq!(hall.jobs.len(), 1, "no refusal opens an epoch");

    let (next, _) = hall.come(again(3, old[0])).unwrap();
    assert_eq!(come(&mut hall, again(3, old[0])), refuse(RejoinRefusal::Twice));
    hall.expire(next, Instant::now() + Duration::from_secs(60));
    assert_eq!(come(&mut hall, again(3, old[2])), refuse(RejoinRefusal::Late));
    assert_eq!(come(&mut hall, again(3, old[0])), refuse(RejoinRefusal::Twice));
}

#[test]
fn unreachable_rank_breaks_a_job_that_seems_whole() {
    let (mut hall, old) = complete(3);
    let cause = Cause::Unreachable("no route".to_owned());
    let claim = after(old[0], Some((2, cause.clone())));
    hall.come(Registration { after: claim, ..any("j", 3, 1) }).unwrap();
    assert!(hall.stirred().contains(&old[0].epoch));
    let told = decode(&hall.news(old[1], &mut 0));
    let abort = Answer::Abort { rank: 2, reason: cause };
    assert_eq!(told[1..], [abort, Answer::Moved { process: 0 }]);
    // Who cannot be reached may well come, too.
    hall.come(again(3, old[2])).unwrap();
}

#[test]
fn survivor_whose_attempt_breaks_may_come_again() {
    let (mut hall, old) = complete(3);
    hall.depart(old[2], Departure::Died);
    let (attempt, _) = hall.come(again(3, old[0])).unwrap();
    hall.depart(attempt, Departure::Died);
    assert_eq!(hall.names["j"], old[0].epoch, "the broken epoch is all there is");
    let (newcomer, admitted) = hall.come(any("j", 3, 1)).unwrap();
    assert_eq!(admitted.ranks, [2], "0 is kept");
    let (attempt, _) = hall.come(again(3, old[0])).unwrap();
    hall.depart(attempt, Departure::Died);
    assert_eq!(hall.due(newcomer), None, "no survivor, no hurry");
    hall.come(again(3, old[0])).unwrap();
    hall.come(again(3, old[1])).unwrap();
    assert_eq!(members(&hall, newcomer).len(), 3);
    // In the old epoch each departure was told once.
    for ticket in old {
        hall.depart(ticket, Departure::Died);
    }
    assert_eq!(hall.jobs.len(), 1);
}

#[test]
fn newcomers_alone_are_a_job_like_any_other() {
    let (mut hall, old) = complete(2);
    hall.depart(old[0], Departure::Left);
    let (first, _) = hall.come(given("j", 2, &[0])).unwrap();
    hall.depart(old[1], Departure::Left);
    assert_eq!(hall.due(first), None);
    let (second, _) = hall.come(given("j", 2, &[1])).unwrap();
    assert_eq!(members(&hall, second), [(0, vec![0]), (1, vec![1])]);
    hall.depart(first, Departure::Left);
    hall.depart(second, Departure::Left);
    assert!(hall.jobs.is_empty() && hall.names.is_empty() && hall.processes == 0);
}

proptest! {
    /// Whatever comes and goes: numbers are dense, nobody is counted twice, nothing is left.
    #[test]
    fn epochs_come_and_go(steps in proptest::collection::vec((0..6u8, 0..20usize), 1..80)) {
        let size = 4;
        let mut hall = Hall::new(Limits { jobs: 50, ranks: 9, processes: 50 }, 1);
        let mut inside: Vec<Ticket> = Vec::new();
        let mut now = Instant::now();
        for (kind, number) in steps {
            let pick = (!inside.is_empty()).then(|| number % inside.len().max(1));
            match (kind, pick) {
                (0 | 1, _) => {
                    let coming = any("j", size, 1 + number as u32 % 2);
                    inside.extend(hall.register(coming, seen(), now).map(|(ticket, _)| ticket));
                }
                (2 | 3, Some(at)) => {
                    let coming = again(size, inside[at]);
                    inside.extend(hall.register(coming, seen(), now).map(|(ticket, _)| ticket));
                }
                (4, Some(at)) => {
                    hall.depart(inside.swap_remove(at), Departure::Died);
                }
                (_, Some(at)) => {
                    now += Duration::from_secs(number as u64);
                    hall.expire(inside[at], now);
                }
                _ => {}
            }
            prop_assert_eq!(hall.processes, inside.len());
            for ticket in &inside {
                let mut ranks: Vec<u32> =
                    members(&hall, *ticket).into_iter().flat_map(|(_, ranks)| ranks).collect();
                ranks.sort_unstable();
                prop_assert_eq!(&ranks, &(0..ranks.len() as u32).collect::<Vec<_>>());
            }
        }
        for ticket in inside {
            hall.depart(ticket, Departure::Died);
        }
        prop_assert!(hall.jobs.is_empty() && hall.names.is_empty() && hall.processes == 0);
    }
}
