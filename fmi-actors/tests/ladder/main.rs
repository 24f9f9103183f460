//! The ladder: ways are tried side by side, the first that works carries frames, a better one
//! takes over without a gap. On a clock of the test's own.

mod world;

use fmi_actors::{
    Reason, Settings,
    channel::Rung::{self, Direct, Punched, Relay},
};
use std::time::Duration;
use world::{End, World, bridge, count, legs};

fn world<const N: usize>(script: [(Rung, u64, u64, End); N]) -> World {
    World::new(&legs(script), Settings::default())
}

#[test]
fn the_best_way_alone_while_it_is_quick() {
    let world = world([
        (Relay, 500, 10, End::Links),
        (Direct, 0, 20, End::Links),
        (Punched, 50, 10, End::Links),
    ]);
    world.send(1);
    world.pass(19);
    assert_eq!((world.rung(), world.received()), (None, None));
    world.pass(1);
    assert_eq!((world.rung(), world.received()), (Some(Direct), Some(1)));
    world.pass(10_000);
    assert_eq!(world.tried(), [(0, Direct)]);
}

#[test]
fn the_next_has_its_turn_while_the_best_still_tries() {
    let world = world([(Direct, 0, 0, End::Hangs), (Punched, 50, 30, End::Links)]);
    world.send(1);
    world.pass(79);
    assert_eq!(world.rung(), None);
    world.pass(1);
    assert_eq!((world.rung(), world.received()), (Some(Punched), Some(1)));
    assert_eq!(world.tried(), [(0, Direct), (50, Punched)]);
}

#[test]
fn the_next_is_tried_at_once_when_all_better_ones_have_failed() {
    let world = world([
        (Direct, 0, 3, End::Fails),
        (Punched, 50, 4, End::Fatal),
        (Relay, 500, 5, End::Links),
    ]);
    world.send(1);
    world.pass(12);
    assert_eq!((world.rung(), world.received()), (Some(Relay), Some(1)));
    assert_eq!(world.tried(), [(0, Direct), (3, Punched), (7, Relay)]);
}

#[test]
fn a_better_one_that_is_under_way_takes_over_without_a_gap() {
    let world = world([(Direct, 0, 200, End::Links), (Relay, 50, 10, End::Links)]);
    world.send(0);
    for number in 1..100 {
        world.pass(4);
        world.send(number);
        let expected =
            if number < 15 { None } else { Some(if number < 50 { Relay } else { Direct }) };
        assert_eq!(world.rung(), expected, "after {} ms", number * 4);
    }
    world.pass(100);
    for number in 0..100 {
        assert_eq!(world.received(), Some(number));
    }
    assert_eq!(world.received(), None);
}

#[test]
fn what_is_under_way_when_a_link_ends_is_not_given_up() {
    let world = world([(Direct, 0, 203, End::Links), (Relay, 50, 10, End::Links)]);
    world.send(1);
    world.pass(200);
    assert_eq!(world.rung(), Some(Relay));
    // As the other side does which has the better one already.
    world.drop_link();
    world.pass(2);
    assert_eq!(world.rung(), None);
    world.send(2);
    world.pass(1);
    assert_eq!(world.rung(), Some(Direct));
    assert_eq!([world.received(), world.received()], [Some(1), Some(2)]);
    assert_eq!(world.tried(), [(0, Direct), (50, Relay)], "nothing was begun anew");
}

#[test]
fn better_ways_are_tried_again_now_and_then_and_no_longer_than_needed() {
    let world = world([(Punched, 0, 1, End::Fails), (Relay, 500, 1, End::Links)]);
    world.send(1);
    world.pass(30_000);
    assert_eq!(world.rung(), Some(Relay));
    // At first, and then 1, 2, 4, 8 and 16 s apart.
    let tried = world.tried();
    let seconds: Vec<_> =
        tried.iter().filter(|tried| tried.1 == Punched).map(|(at, _)| at / 1000).collect();
    assert_eq!(seconds, [0, 1, 3, 7, 15]);
    assert_eq!(count(&tried)[&Relay], 1, "what is no better than the link is left alone");

    world.script.lock()[0].end = End::Links;
    world.pass(30_000);
    assert_eq!((world.rung(), world.received()), (Some(Punched), Some(1)));
    let tried = world.tried().len();
    world.pass(200_000);
    assert_eq!(world.tried().len(), tried, "there is nothing better");
}

#[test]
fn a_link_from_the_other_side_ends_the_ascent() {
    let world = world([(Punched, 0, 300, End::Links), (Relay, 500, 0, End::Links)]);
    world.send(1);
    world.pass(100);
    let nodes = world.nodes.each_ref().map(std::sync::Arc::downgrade);
    bridge(&nodes, Direct, u16::MAX);
    world.pass(1000);
    assert_eq!((world.rung(), world.received()), (Some(Direct), Some(1)));
    assert_eq!(world.tried(), [(0, Punched)]);
}

#[test]
fn the_ladder_of_the_settings_counts() {
    let settings = Settings { ladder: vec![Relay, Direct], ..Settings::default() };
    let script = legs([
        (Direct, 0, 10, End::Links),
        (Punched, 0, 1, End::Links),
        (Relay, 0, 100, End::Links),
    ]);
    let world = World::new(&script, settings);
    world.send(1);
    world.pass(50);
    assert_eq!(world.rung(), Some(Direct));
    world.pass(60);
    assert_eq!((world.rung(), world.received()), (Some(Relay), Some(1)));
    assert_eq!(count(&world.tried()).get(&Punched), None, "it is switched off");
}

#[test]
fn a_process_that_no_way_leads_to_is_lost_with_the_reasons() {
    let settings = Settings { silent: Duration::from_secs(2), ..Settings::default() };
    let script = legs([(Direct, 0, 0, End::Hangs), (Relay, 100, 20, End::Fails)]);
    let world = World::new(&script, settings);
    world.send(1);
    world.pass(1900);
    assert_eq!(world.nodes[0].endpoint(0).unwrap().lost_reason(1), None);
    world.pass(700);
    let Some(Reason::Unreachable(reason)) = world.nodes[0].endpoint(0).unwrap().lost_reason(1)
    else {
        panic!("the peer is not lost");
    };
    assert!(reason.contains("relay: told to fail"), "{reason}");
    assert!(reason.contains("direct: no answer"), "{reason}");
}

#[test]
fn what_is_fatal_everywhere_is_tried_once_more() {
    let world = world([(Direct, 0, 1, End::Fatal), (Relay, 10, 1, End::Fatal)]);
    world.send(1);
    world.pass(10);
    assert!(world.nodes[0].endpoint(0).unwrap().lost_reason(1).is_some());
    // Right away: what was damaged on its way looks the same, but not twice.
    assert_eq!(world.tried(), [(0, Direct), (1, Relay), (7, Direct), (8, Relay)]);
}
