//! What is counted is on the bill, once.

use super::*;
use crate::Payload;

const MS: u64 = 1_000_000;

fn meter() -> Arc<Meter> {
    let meter = Meter::new(true);
    meter.set_tariff(Tariff { machines: vec!["t3.nano".to_owned()], ..Tariff::default() });
    Arc::new(meter)
}

fn space(number: u32) -> Space {
    Space { scope: 1, number }
}

fn money(bill: &Bill, operation: &str, channel: &str) -> f64 {
    let of = |line: &&Line| line.operation == operation && line.channel == channel;
    bill.lines.iter().find(of).map_or(f64::NAN, |line| line.money.get())
}

#[test]
fn requests_cost_what_the_list_says() {
    let meter = meter();
    meter.name(space(3), "bcast");
    meter.request("s3", Purpose::Space(space(3)), Request::Put, 100);
    meter.requests("s3", Purpose::Space(space(3)), Request::Get, 10, 1000);
    meter.request("s3", Purpose::Space(space(4)), Request::Get, 0);
    meter.request("s3", Purpose::Space(space(0)), Request::Delete, 0);
    meter.request("s3", Purpose::Upkeep, Request::List, 0);
    meter.request("redis", Purpose::Upkeep, Request::Command, 0);
    let bill = meter.bill(Time(0), Seconds::new(3600.0), &Counted::default());
    let near = |is: f64, should: f64| assert!((is - should).abs() < 1e-12, "{is} {should}");
    near(money(&bill, "bcast", "s3"), 5e-6 + 10.0 * 4e-7);
    near(money(&bill, "collectives", "s3"), 4e-7);
    near(money(&bill, "point to point", "s3"), 0.0);
    near(money(&bill, "upkeep", "s3"), 5e-6);
    near(money(&bill, "upkeep", "redis"), 0.0);
    assert_eq!(bill.machines[0].money.to_string(), "$0.0052");
    let counts = bill.counts();
    assert_eq!(
        (counts.put, counts.get, counts.list, counts.delete, counts.command),
        (1, 11, 1, 1, 1)
    );
    assert_eq!((counts.moved, counts.bytes), (Bytes::new(1100), Bytes::ZERO));
    near(bill.money().get(), 0.0052 + 5e-6 + 11.0 * 4e-7 + 5e-6);
}

#[test]
fn those_who_wait_at_once_share_the_time() {
    let meter = meter();
    let wait = |name, at| meter.wait(Operation::named(name), Time(at * MS)).unwrap();
    let first = wait("gather", 100);
    let second = wait("bcast", 300);
    first.end(Time(500 * MS));
    let third = wait("bcast", 600);
    drop(third);
    second.end(Time(700 * MS));
    let bill = meter.bill(Time(900 * MS), Seconds::ZERO, &Counted::default());
    let waited = |name| {
        let of = |line: &&Line| line.operation == name;
        bill.lines.iter().find(of).unwrap().waiting.get()
    };
    // 200 ms alone, 200 ms of two; then 200 ms alone, of which none was given away.
    assert!((waited("gather") - 0.3).abs() < 1e-9);
    assert!((waited("bcast") - 0.3).abs() < 1e-9, "{}", waited("bcast"));
    let second = Prices::aws().function_second(Bytes::gib(1));
    assert!((bill.money() - second * Seconds::new(0.6)).get().abs() < 1e-12);
}

#[test]
fn looks_are_for_what_the_process_waits_for() {
    let meter = meter();
    let look = || meter.request("s3", Purpose::Awaited, Request::Get, 0);
    look();
    let first = meter.wait(Operation::named("gather"), Time(0)).unwrap();
    let second = meter.wait(Operation::named("bcast"), Time(0)).unwrap();
    look();
    // Whatever is known counts.
    meter.request("s3", Purpose::Space(space(0)), Request::Get, 0);
    second.end(Time(MS));
    assert_eq!(meter.awaited(), Some(Operation::named("gather")));
    look();
    look();
    meter.request("s3", Purpose::Upkeep, Request::Get, 0);
    drop(first);
    assert_eq!(meter.awaited(), None);
    look();
    let bill = meter.bill(Time(MS), Seconds::ZERO, &Counted::default());
    let mut gets: Vec<_> =
        bill.lines.iter().map(|l| (l.operation.as_str(), l.counts.get)).collect();
    gets.retain(|(_, gets)| *gets > 0);
    assert_eq!(gets, [("bcast", 1), ("gather", 2), ("point to point", 1), ("upkeep", 3)]);
}

#[test]
fn moving_bytes_costs_where_it_is_not_free() {
    let meter = meter();
    let prices = Prices::from_toml("store.gib_moved = 0.5").unwrap();
    meter.set_tariff(Tariff { prices, ..Tariff::default() });
    meter.requests("s3", Purpose::Awaited, Request::Get, 0, 1 << 29);
    let frame = crate::frame::Header { kind: Kind::Message, length: u32::MAX, ..blank() };
    meter.message(
        "tcp",
        Tier::Network,
        &Frame { header: frame, signature: None, payload: Payload::empty() },
    );
    let bill = meter.bill(Time(0), Seconds::ZERO, &Counted::default());
    assert_eq!(bill.money(), Dollars::new(0.25));
}

#[test]
fn nothing_is_measured_in_detail_unless_asked() {
    let meter = Arc::new(Meter::new(false));
    assert!(meter.wait(Operation::MESSAGES, Time(0)).is_none());
    meter.name(space(1), "bcast");
    assert_eq!(meter.operation(space(1)), Operation::COLLECTIVES);
    meter.detail();
    meter.name(space(1), "bcast");
    assert_eq!(meter.operation(space(1)).name(), "bcast");
}

#[test]
fn names_are_bounded() {
    let meter = meter();
    for number in 1..=5000 {
        meter.name(space(number), "scan");
    }
    assert_eq!(meter.operation(space(1)), Operation::COLLECTIVES);
    assert_eq!(meter.operation(space(5000)).name(), "scan");
}

#[test]
fn tallies_tell_messages_from_what_keeps_a_pair_going() {
    let mut tally = Tally::new("tcp", Tier::Machine);
    let frame = |kind, number, length| {
        let header = crate::frame::Header { kind, space: space(number), length, ..blank() };
        Frame { header, signature: None, payload: Payload::empty() }
    };
    tally.count(&frame(Kind::Envelope, 0, 0));
    tally.count(&frame(Kind::Data, 0, 700));
    tally.count(&frame(Kind::Message, 5, 30));
    tally.count(&frame(Kind::Ack, 0, 0));
    let counted = Counted { tallies: vec![tally], ..Counted::default() };
    let bill = meter().bill(Time(0), Seconds::ZERO, &counted);
    let lines: Vec<_> = bill
        .lines
        .iter()
        .map(|line| (line.operation.as_str(), line.counts.messages, line.counts.bytes.get()))
        .collect();
    assert_eq!(lines, [("collectives", 1, 30), ("point to point", 1, 700)]);
    assert!(bill.lines.iter().all(|line| line.tier == Some(Tier::Machine)));
}

#[test]
fn parts_sum_up_to_the_whole() {
    let meter = meter();
    let ledgers = [Ledger::default(), Ledger::default()];
    let call = |operation, tier, time, forecast| Call {
        operation: Operation::named(operation),
        channel: "s3",
        tier,
        time: Seconds::new(time),
        forecast,
    };
    let forecast = Forecast { time: Seconds::new(0.2), money: Dollars::new(1e-3) };
    for ledger in &ledgers {
        ledger.record(&call("bcast", Tier::Store, 0.5, Some(forecast)));
        ledger.record(&call("bcast", Tier::Store, 0.25, None));
        ledger.record(&call("bcast", Tier::Network, 0.125, Some(forecast)));
        ledger.record(&call("gather", Tier::Store, 0.125, None));
    }
    meter.name(space(3), "bcast");
    meter.request("s3", Purpose::Space(space(3)), Request::Put, 100);
    let mut own = Counted { ranks: 2, ..Counted::default() };
    ledgers.iter().for_each(|ledger| ledger.collect(&mut own.calls));
    let bill = meter.bill(Time(0), Seconds::new(1.0), &own);
    assert_eq!(bill.lines.len(), 3, "{bill}");
    let stored = &bill.lines[1];
    assert_eq!((&*stored.operation, stored.tier), ("bcast", Some(Tier::Store)));
    let calls = stored.calls;
    assert_eq!((calls.calls, calls.predicted_calls), (4, 2));
    assert_eq!((calls.time.get(), calls.predicted_calls_time.get()), (1.5, 1.0));
    assert_eq!((calls.predicted.get(), calls.predicted_cost.get()), (0.4, 2e-3));
    // Both ranks were busy with collectives all the time that the function lived.
    let all = bill.calls();
    assert_eq!((all.calls, all.time, all.gib_seconds.get()), (8, Seconds::new(2.0), 1.0));
    let gib_second = Prices::aws().function.gib_second * Seconds::new(1.0);
    assert!((all.function - gib_second).get().abs() < 1e-15);
    assert!((stored.cost() - calls.function).get() > 4.9e-6, "with its request");
    // What functions cost anyhow is not paid twice.
    let requests = Prices::aws().store.put;
    let machine = bill.machines[0].money;
    assert!((bill.money() - requests - machine).get().abs() < 1e-15);
    let twice: Bill = [bill.clone(), bill.clone()].iter().sum();
    assert_eq!(twice.calls().gib_seconds.get(), 2.0);
    assert!((twice.money() - bill.money() * 2.0).get().abs() < 1e-15);
}

fn blank() -> crate::frame::Header {
    use crate::frame::{Datatype, Flags, Header};
    Header {
        kind: Kind::Ack,
        flags: Flags::default(),
        length: 0,
        epoch: 0,
        source: 0,
        destination: 1,
        source_incarnation: 0,
        destination_incarnation: 0,
        space: Space::messages(0),
        tag: 0,
        datatype: Datatype::BYTES,
        sequence: 0,
        acknowledgement: 0,
        credit: [0; 2],
        message: 0,
        total: 0,
    }
}
