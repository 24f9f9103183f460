//! Exchanges of every rank with every other, in rounds: in round k with the ranks k above and k below.

use super::Step;

/// The rounds that a rank sends in before it waits for what comes in the first of them. Where ranks take turns on
/// their cores, each wait is a switch; who has sent all it can needs few of them.
const AHEAD: usize = 8;

/// The steps of a rank that in each round sends to the one k above and receives from the one k below, wrapping
/// around: so nobody is sent to by two in a round.
pub(super) fn plan(
    rank: usize,
    size: usize,
    send: impl Fn(usize) -> Step + Send + 'static,
    recv: impl Fn(usize) -> Step + Send + 'static,
) -> impl Iterator<Item = Step> + Send + 'static {
    ahead(size).flat_map(move |(to, from)| {
        let send = to.map(|distance| send((rank + distance) % size));
        let recv = from.map(|distance| recv((rank + size - distance) % size));
        send.into_iter().chain(recv)
    })
}

/// The rounds from 1 on, each for what is sent in it and then for what is received in an earlier one.
fn ahead(size: usize) -> impl Iterator<Item = (Option<usize>, Option<usize>)> {
    let is_round = move |round: &usize| (1..size).contains(round);
    (1..size + AHEAD - 1).map(move |round| {
        let received = (round + 1).checked_sub(AHEAD);
        (Some(round).filter(is_round), received.filter(is_round))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_few_exchange_is_sent_before_anything_is_waited_for() {
        let plan = plan(1, 4, |to| Step::send(to, 0), |from| Step::recv(from, 1));
        let steps: Vec<Step> = plan.collect();
        let sends = [2, 3, 0].map(|to| Step::send(to, 0));
        let recvs = [0, 3, 2].map(|from| Step::recv(from, 1));
        assert_eq!(steps, [sends, recvs].concat());
    }

    #[test]
    fn among_many_nobody_runs_away() {
        let (mut sent, mut received) = (0, 0);
        for (send, recv) in ahead(100) {
            sent += usize::from(send.is_some());
            assert!(sent <= received + AHEAD);
            received += usize::from(recv.is_some());
        }
        assert_eq!((sent, received), (99, 99));
    }
}
