//! Attempts of two that have had a link, or hear of one.

use super::*;

/// Whether a system or a translation remembers the link that was, the next one is soon there.
#[test]
fn who_had_a_link_is_joined_again_as_soon() {
    use Nat::{Drops, Open};
    for nats in [[Drops, Drops], [Drops, Open], [Open, Drops]] {
        for memory in [Memory::None, Memory::Outside, Memory::Inside(0), Memory::Inside(1)] {
            for (delay, callers) in [(NEAR, &[0][..]), (NEAR, &[1]), (FAR, &[0]), (FAR, &[0, 1])] {
                for seed in 0..10 {
                    let mut world = punched(nats, delay, &[0], seed);
                    assert!(world.connected);
                    world.forget(memory);
                    let begun = world.now;
                    for caller in callers {
                        world.call(*caller);
                    }
                    world.run();
                    let what = (nats, memory, delay, callers, seed);
                    assert!(world.connected, "{what:?}: {:?}", world.sides[callers[0]].over);
                    let took = world.ended.since(begun);
                    assert!(took < 8 * delay + Duration::from_millis(10), "{what:?}: {took:?}");
                }
            }
        }
    }
}

/// As after a process has begun anew with the port that it had.
#[test]
fn ports_that_others_remember_are_given_up() {
    for memory in [Memory::Outside, Memory::Inside(0), Memory::Inside(1)] {
        for callers in [&[0][..], &[1], &[0, 1]] {
            let mut world = World::new([Nat::Drops; 2], NEAR, RELIABLE, 3);
            world.memory = memory;
            for caller in callers {
                world.call(*caller);
            }
            world.run();
            assert!(world.connected, "{memory:?}: {:?}", world.sides[callers[0]].over);
            assert!(world.elapsed() < Duration::from_secs(1), "{memory:?}: {:?}", world.elapsed());
        }
    }
}

/// What the other side says it has may have died since.
#[test]
fn a_link_that_is_only_said_to_be_there_holds_nothing_up() {
    let sight = |port, spares| Sight {
        port,
        own: vec![SocketAddr::new([10, 0, 0, 1].into(), port)],
        observed: vec![SocketAddr::new([203, 0, 113, (port % 100) as u8].into(), port)],
        spares: (9000..).take(spares).collect(),
        ..Sight::default()
    };
    let mut machines = [Punch::new(Wire::Tcp, 0, 1), Punch::new(Wire::Tcp, 1, 0)];
    let work = |machines: &mut [Punch; 2], now| {
        let mut actions = Vec::new();
        for at in [0, 1, 0, 1] {
            while let Some(action) = machines[at].poll() {
                match &action {
                    Action::Look { spares } => {
                        machines[at].seen(now, &sight(501 + at as u16, *spares));
                    }
                    Action::Tell(note) => machines[1 - at].told(now, note),
                    _ => {}
                }
                actions.push((at, action));
            }
        }
        actions
    };
    for (caller, answerer) in [(0, 1), (1, 0)] {
        let start = Time(5_000_000_000 * (1 + caller as u64));
        // The caller's link is up before it has seen an answer; the other's is not.
        machines[caller].call(start, 7, None);
        let Some(Action::Look { spares }) = machines[caller].poll() else { panic!("no look") };
        machines[caller].seen(start, &sight(501 + caller as u16, spares));
        let Some(Action::Tell(call)) = machines[caller].poll() else { panic!("no call") };
        machines[answerer].told(start, &call);
        machines[caller].linked(start);
        work(&mut machines, start);
        assert!(!machines[caller].is_busy() && machines[answerer].is_ceased());
        // It dies at once, and either side may notice first.
        let later = start + Duration::from_millis(1);
        machines[answerer].call(later, 8, None);
        assert!(!machines[answerer].is_ceased());
        let actions = work(&mut machines, later);
        let fired = |side| {
            actions.iter().any(|(at, action)| *at == side && matches!(action, Action::Fire(_)))
        };
        assert!(fired(0) && fired(1), "{actions:?}");
        for machine in &mut machines {
            machine.linked(later);
        }
        work(&mut machines, later);
        assert!(machines.iter().all(|machine| !machine.is_busy()));
    }
}

#[test]
fn what_stands_is_not_taken_for_what_is_remembered() {
    let at = |millis: u64| Time(1_000_000 * millis);
    let to: SocketAddr = "203.0.113.9:77".parse().unwrap();
    let mut machine = Punch::new(Wire::Tcp, 0, 1);
    machine.call(at(1), 7, Some(to));
    let observed = vec!["203.0.113.1:5".parse().unwrap()];
    machine.seen(at(1), &Sight { port: 5, observed, ..Sight::default() });
    let fires = |machine: &mut Punch, now| {
        machine.tick(now);
        let mut fired = false;
        while let Some(action) = machine.poll() {
            fired |= matches!(action, Action::Fire(_));
        }
        fired
    };
    assert!(fires(&mut machine, at(5)));
    machine.connected(at(6), 5, to);
    // Of course its ports are taken; that says nothing of others' memory.
    machine.taken(at(7), 5, to);
    assert!(fires(&mut machine, at(60)));
    // Not for ever: it may have come to nothing.
    machine.taken(at(900), 5, to);
    assert!(!fires(&mut machine, at(1900)));
}
