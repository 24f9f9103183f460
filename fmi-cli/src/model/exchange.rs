//! One message, and one to many: straight from what is known of a channel.

use fmi_model::{
    Bytes, Costs, Dollars, Estimate,
    channel::{Channel, Quantile},
};

/// One rank sends so many bytes to so many others, who wait for it; all are paid until the last has it.
pub(super) fn price(channel: &Channel, bytes: Bytes, readers: usize, costs: &Costs) -> Estimate {
    let late = |quantile| channel.tail.late(readers, quantile);
    let time = match readers {
        1 => channel.transfer(bytes),
        _ => channel.fan_out(bytes, readers as f64, readers as f64),
    };
    let mut money = costs.process * time * (readers as f64 + 1.0);
    if let Some(requests) = channel.requests {
        // Whoever waits looks until it is there.
        let looks = channel.looks(channel.send.time(bytes) + channel.latency);
        money += costs.prices.request(requests.send);
        money += costs.prices.request(requests.receive) * (readers as f64 * (1.0 + looks));
    }
    if let Some(machine) = &channel.machine {
        let second = costs.prices.machine_second(machine).unwrap_or_default();
        let share = costs.often.map_or(time, |often| often.interval());
        money += second * share;
    }
    let late = late(Quantile::P95) - late(Quantile::MEDIAN);
    Estimate { time, late: time + late, money: money.max(Dollars::ZERO) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fmi_model::{Profile, Rate, Seconds, prices::Prices};

    #[test]
    fn requests_machines_and_functions_are_paid() {
        let lambda = Profile::shipped("aws-lambda").unwrap();
        let prices = Prices::aws();
        let process = prices.function_second(Bytes::gib(2));
        let costs = |often| Costs { prices: Prices::aws(), process, often };
        let (s3, tcp) = (lambda.channel("s3"), lambda.channel("tcp"));
        let stored = price(s3, Bytes::new(8), 10, &costs(None));
        let functions = process * stored.time * 11.0;
        let requests = stored.money - functions;
        let least = prices.store.put + prices.store.get * 10.0;
        assert!(requests >= least && requests < least * 2.0, "{requests} for {least}");
        assert!(stored.late > stored.time);
        // A machine for one message an hour.
        let seldom = price(tcp, Bytes::new(8), 1, &costs(Some(Rate::new(1.0 / 3600.0))));
        let hour = prices.machine_second("t2.micro").unwrap() * Seconds::new(3600.0);
        assert!(seldom.money > hour && seldom.money < hour * 1.1, "{}", seldom.money);
    }
}
