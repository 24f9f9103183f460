//! Each mistake by name.

use super::super::{Blocks, Side};
use super::*;

fn reduce(demand: Demand) -> Check {
    Check::new(Collective::Reduce, 3).demand(demand)
}

fn allreduce(size: usize) -> Check {
    Check::new(Collective::Allreduce, size).demand(Demand::Associative)
}

fn bcast(size: usize) -> Check {
    Check::new(Collective::Bcast, size)
}

fn send(to: usize) -> Step {
    Step::send(to, 0)
}

fn recv(from: usize) -> Step {
    Step::recv(from, 0)
}

fn left(from: usize) -> Step {
    Step::combine(from, 0, Side::Left)
}

fn right(from: usize) -> Step {
    Step::combine(from, 0, Side::Right)
}

fn run<const N: usize>(check: &Check, plans: [Vec<Step>; N]) -> Result<Report, CheckError> {
    check.run(|rank| plans[rank].clone())
}

fn at(rank: usize, index: usize, step: Step) -> Box<At> {
    Box::new(At { rank, index, step })
}

fn wrong(plans: [Vec<Step>; 3], demand: Demand, found: &str) {
    let found = found.to_owned();
    assert_eq!(
        run(&reduce(demand), plans),
        Err(CheckError::WrongResult { rank: 0, block: 0, ranks: 0..3, part: 0, demand, found })
    );
}

#[test]
fn missing_receive() {
    let plans = [vec![right(1)], vec![send(0)], vec![send(0)]];
    let error = CheckError::UnmatchedSend { from: 2, step: 0, to: 0, messages: 1 };
    assert_eq!(run(&reduce(Demand::Associative), plans), Err(error));
}

#[test]
fn missing_send() {
    let plans = [vec![right(1), right(2)], vec![send(0)], vec![]];
    let error = CheckError::UnmatchedRecv { at: at(0, 1, right(2)), from: 2 };
    assert_eq!(
        error.to_string(),
        "rank 0, step 1 (here · block 0 from rank 2): waits for rank 2, which has finished"
    );
    assert_eq!(run(&reduce(Demand::Associative), plans), Err(error));
}

#[test]
fn crossing_receives_deadlock() {
    let plans = [vec![right(1), send(1)], vec![left(0), send(0), recv(2)], vec![recv(1), send(1)]];
    let error = CheckError::Deadlock { cycle: vec![*at(0, 0, right(1)), *at(1, 0, left(0))] };
    assert_eq!(
        error.to_string(),
        "deadlock, each waits for the next and the last for the first: \
         rank 0, step 0 (here · block 0 from rank 1); rank 1, step 0 (block 0 from rank 0 · here)"
    );
    assert_eq!(run(&allreduce(3), plans), Err(error));
}

#[test]
fn crossing_sends_do_not() {
    let plans = [vec![send(1), right(1)], vec![send(0), left(0)]];
    let report = run(&allreduce(2), plans).unwrap();
    assert_eq!((report.rounds, report.outbox), (1, 1));
}

#[test]
fn a_deadlock_of_full_outboxes_asks_for_larger_ones() {
    let twice = |peer| [send(peer), send(peer), recv(peer), recv(peer)];
    let plans = [0, 1].map(|rank| {
        let peer = 1 - rank;
        let combine = if rank == 0 { right(peer) } else { left(peer) };
        [send(peer), combine].into_iter().chain(twice(peer)).collect()
    });
    assert_eq!(run(&allreduce(2), plans.clone()).unwrap().outbox, 2);
    let error = CheckError::Outbox { expected: 1, found: 2 };
    assert_eq!(run(&allreduce(2).outbox(1), plans), Err(error));
}

#[test]
fn wrong_order() {
    let plans = [vec![right(2), right(1)], vec![send(0)], vec![send(0)]];
    wrong(plans.clone(), Demand::Associative, "((0·2)·1)");
    assert_eq!(run(&reduce(Demand::Commutative), plans).unwrap().messages, 2);
}

#[test]
fn wrong_bracketing_of_an_ordered_operation() {
    let plans = [vec![right(1)], vec![right(2), send(0)], vec![send(1)]];
    wrong(plans.clone(), Demand::Ordered, "(0·(1·2))");
    assert_eq!(run(&reduce(Demand::Associative), plans).unwrap().rounds, 2);
}

#[test]
fn input_counted_twice() {
    let plans = [vec![right(1), right(1), right(2)], vec![send(0), send(0)], vec![send(0)]];
    wrong(plans, Demand::Commutative, "(((0·1)·1)·2)");
}

#[test]
fn input_left_out() {
    wrong([vec![right(1)], vec![send(0)], vec![]], Demand::Associative, "(0·1)");
}

#[test]
fn different_bits_on_different_ranks() {
    // Each rank has all operands in order, but rank 2 brackets from the right.
    let plans = [
        vec![send(2), right(1), right(2), send(1)],
        vec![send(0), send(2), recv(0)],
        vec![send(0), left(1), left(0)],
    ];
    assert_eq!(
        run(&allreduce(3), plans),
        Err(CheckError::DifferentBits {
            rank: 2,
            block: 0,
            found: "(0·(1·2))".to_owned(),
            rank_0: "((0·1)·2)".to_owned(),
        })
    );
}

#[test]
fn wrong_costs() {
    let plans = [vec![send(1), send(2)], vec![recv(0)], vec![recv(0)]];
    let error = CheckError::Rounds { expected: 1, found: 2 };
    assert_eq!(run(&bcast(3).rounds(1), plans.clone()), Err(error));
    let error = CheckError::Sent { expected: 1, found: 2 };
    assert_eq!(run(&bcast(3).rounds(2).sent(1), plans), Err(error));
}

#[test]
fn a_barrier_that_does_not_hold() {
    let signal = |to| Step::send(to, Blocks::NONE);
    let wait = |from| Step::recv(from, Blocks::NONE);
    let plans = [vec![wait(2), signal(1)], vec![wait(0)], vec![signal(0)]];
    let error = CheckError::LeavesEarly { rank: 0, other: 1 };
    assert_eq!(run(&Check::new(Collective::Barrier, 3), plans), Err(error));
}

#[test]
fn blocks_in_the_wrong_place() {
    let check = Check::new(Collective::Scatter, 2).root(1);
    assert_eq!(
        run(&check, [vec![Step::recv(1, 0)], vec![Step::send(0, 1)]]),
        Err(CheckError::WrongResult {
            rank: 0,
            block: 0,
            ranks: 1..2,
            part: 0,
            demand: Demand::Ordered,
            found: "1#1".to_owned(),
        })
    );
}

#[test]
fn pieces_of_different_values() {
    let check = allreduce(2).pieces(2);
    let combine = Step::combine(1, 1, Side::Right);
    assert_eq!(
        run(&check, [vec![combine.clone()], vec![send(0)]]),
        Err(CheckError::Mixed {
            at: at(0, 0, combine),
            block: 1,
            left: "0#1".to_owned(),
            right: "1#0".to_owned(),
        })
    );
}

#[test]
fn steps_that_cannot_be_done() {
    let first = |step: Step| run(&bcast(2), [vec![step], vec![]]);
    assert_eq!(first(send(0)), Err(CheckError::BadPeer { at: at(0, 0, send(0)), peer: 0 }));
    assert_eq!(first(recv(2)), Err(CheckError::BadPeer { at: at(0, 0, recv(2)), peer: 2 }));
    let two = Step::send(1, 0..2);
    assert_eq!(
        first(two.clone()),
        Err(CheckError::BadBlock { at: at(0, 0, two), block: 1, available: 1 })
    );
    let none = Step::send(1, Blocks::NONE);
    assert_eq!(
        run(&bcast(2), [vec![none], vec![recv(0)]]),
        Err(CheckError::Length { at: at(1, 0, recv(0)), expected: 1, found: 0 })
    );
    let scatter = Check::new(Collective::Scatter, 2);
    assert_eq!(
        run(&scatter, [vec![], vec![send(0)]]),
        Err(CheckError::EmptyBlock { at: at(1, 0, send(0)), block: 0 })
    );
    assert_eq!(
        run(&bcast(2).root(2), [vec![], vec![]]),
        Err(CheckError::NoSuchRoot { root: 2, size: 2 })
    );
    let check = bcast(1 << 20).pieces(1 << 20);
    let error = CheckError::TooLarge { size: 1 << 20, parts: 1 << 20 };
    assert_eq!(check.run(|_| vec![]), Err(error));
}

#[test]
fn copies_do_not_overlap() {
    let check = Check::new(Collective::Alltoall, 2);
    let first = |step: Step| run(&check, [vec![step], vec![]]);
    let copy = Step::copy(0..2, 1..3);
    assert_eq!(first(copy.clone()), Err(CheckError::Overlap { at: at(0, 0, copy), block: 1 }));
    let copy = Step::copy(0..2, 3);
    assert_eq!(
        first(copy.clone()),
        Err(CheckError::Length { at: at(0, 0, copy), expected: 1, found: 2 })
    );
}

#[test]
fn publications_have_their_readers() {
    let publish = |readers| Step::publish(0, readers);
    let fetch = || Step::fetch(0, 0);
    let report = run(&bcast(3), [vec![publish(2)], vec![fetch()], vec![fetch()]]).unwrap();
    assert_eq!((report.rounds, report.messages, report.most_sent), (1, 0, 1));

    let too_few = [vec![publish(1)], vec![fetch()], vec![fetch()]];
    let error = run(&bcast(3), too_few).unwrap_err();
    assert!(matches!(error, CheckError::FetchedTooOften { readers: 1, .. }), "{error}");
    assert_eq!(
        run(&bcast(3), [vec![publish(3)], vec![fetch()], vec![fetch()]]),
        Err(CheckError::Unfetched { rank: 0, block: 0.into(), missing: 1 })
    );
    assert_eq!(
        run(&bcast(2), [vec![publish(1), publish(1)], vec![fetch()]]),
        Err(CheckError::PublishedTwice { at: at(0, 1, publish(1)), block: 0.into() })
    );
    assert_eq!(
        run(&bcast(2), [vec![], vec![fetch()]]),
        Err(CheckError::UnmatchedRecv { at: at(1, 0, fetch()), from: 0 })
    );
}

#[test]
fn late_bound_plans_receive_first() {
    let plans = [vec![send(1), recv(1)], vec![send(0), recv(0)]];
    let error = CheckError::NotBound { at: at(1, 0, send(0)) };
    assert_eq!(run(&bcast(2), plans), Err(error));
}

#[test]
fn a_plan_without_an_end() {
    let result = bcast(2)
        .run(|rank| std::iter::repeat_with(move || if rank == 0 { send(1) } else { recv(0) }));
    assert!(matches!(result, Err(CheckError::Endless { .. })), "{result:?}");
}
