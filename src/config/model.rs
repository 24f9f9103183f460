//! By which model of time and money collectives are chosen: a profile, or the `model` of an `fmi.json`.

use super::{Config, told};
use fmi_actors::Result;
use fmi_collectives::plan::price::{Channels, Market};
use fmi_model::{
    Bandwidth, Bytes, Costs, Dollars, Profile, Rate, Seconds,
    channel::{Channel, Leg, Requests, Server},
    prices::{Prices, Request},
};
use serde_json::Value;
use std::{fs, path::Path};

impl Config {
    /// By which model this process would choose: what the [profile](Self#structfield.profile) or the `model` of an
    /// `fmi.json` says, with the channels and the prices that are configured. `None` if there is neither. In a job the
    /// model of its first process counts, which tells it to all others.
    ///
    /// # Errors
    /// [`Error::Config`](fmi_actors::Error::Config) if a file cannot be read, or is no profile or list of
    /// prices.
    pub fn market(&self) -> Result<Option<Market>> {
        let tariff = self.money.tariff()?;
        let mut costs = Costs {
            process: tariff.prices.function_second(tariff.memory),
            prices: tariff.prices,
            often: None,
        };
        let profile = match (&self.profile, &self.model) {
            (Some(name), _) => named(name)?,
            (None, Some(model)) => {
                let (profile, often) = published(model, &mut costs.prices);
                costs.process = costs.prices.function_second(tariff.memory);
                costs.often = often;
                profile
            }
            (None, None) => return Ok(None),
        };
        let profile = profile.in_memory(tariff.memory);
        let market = Market::of(profile).over(self.routes()).costing(costs);
        Ok(Some(market.reproducible(self.reproducible)))
    }

    /// What it tells the others; empty if it has none.
    pub(crate) fn model_text(&self) -> Result<String> {
        Ok(self.market()?.map_or_else(String::new, |market| market.pruned().to_text()))
    }

    /// Which channel goes how far: of several the first that can.
    fn routes(&self) -> Channels {
        let names = || self.available().map(|channel| (channel.name(), channel.is_store()));
        let link = names().find(|(_, is_store)| !is_store).map(|(name, _)| name);
        let store = names().find(|(_, is_store)| *is_store).map(|(name, _)| name);
        let between = link.or(store).unwrap_or("tcp");
        Channels::new(between, between, store.unwrap_or("s3"))
    }
}

/// One of those that are shipped, or one in a file.
fn named(name: &str) -> Result<Profile> {
    if let Some(profile) = Profile::shipped(name) {
        return Ok(profile);
    }
    let wrong = |message: String| told("profile", format!("{name}: {message}"));
    let text = fs::read_to_string(Path::new(name)).map_err(|error| {
        let shipped = Profile::SHIPPED.join(", ");
        wrong(format!("cannot be read: {error}; name a file, or one of {shipped}"))
    })?;
    Profile::from_toml(&text).map_err(|bad| wrong(bad.to_string()))
}

/// FMI's own block: milliseconds, megabytes a second, dollars. What it does not say is as in the profile `lan`.
fn published(model: &Value, prices: &mut Prices) -> (Profile, Option<Rate>) {
    // In quotes or not: FMI's reader takes both.
    let number = |section: &str, key: &str| -> Option<f64> {
        let value = model.get(section)?.get(key)?;
        let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())?;
        (number.is_finite() && number >= 0.0).then_some(number)
    };
    let per_byte = |megabytes: f64| Bytes::new(1) / Bandwidth::new(megabytes * 1e6);
    let ms = |time: f64| Seconds::new(time / 1000.0);
    let mut profile = Profile::default();
    "fmi.json".clone_into(&mut profile.name);
    "the model of an fmi.json".clone_into(&mut profile.source);
    if let Some(price) = number("FaaS", "gib_second_price") {
        prices.function.gib_second = fmi_model::DollarsPerSecond::new(price);
    }
    let machine = |prices: &mut Prices, section: &str, key: &str| {
        let included = model.get(section).and_then(|it| it.get("include_infrastructure_costs"));
        let included = included.is_some_and(|it| it == true || it == "true");
        let price = number(section, key).filter(|_| included)?;
        let name = format!("{section} of fmi.json");
        prices.hourly.insert(name.clone(), Dollars::new(price));
        Some(name)
    };
    if let (Some(bandwidth), Some(overhead)) =
        (number("Direct", "bandwidth"), number("Direct", "overhead"))
    {
        let send = Leg { per_byte: per_byte(bandwidth), ..Leg::default() };
        let machine = machine(prices, "Direct", "vm_price");
        let channel = Channel { send, latency: ms(overhead), machine, ..Channel::default() };
        profile.channels.insert("tcp".to_owned(), channel);
    }
    let stored = |overhead: f64, bandwidth: f64| {
        let leg = Leg {
            fixed: ms(overhead / 2.0),
            per_byte: per_byte(bandwidth * 2.0),
            ..Leg::default()
        };
        Channel { send: leg, receive: leg, ..Channel::default() }
    };
    if let (Some(single), Some(overhead)) =
        (number("Redis", "bandwidth_single"), number("Redis", "overhead"))
    {
        let all = number("Redis", "bandwidth_multiple").unwrap_or(single);
        let server = Server { per_byte: per_byte(all), ..Server::default() };
        let machine = machine(prices, "Redis", "instance_price");
        let channel = Channel { server: Some(server), machine, ..stored(overhead, single) };
        profile.channels.insert("redis".to_owned(), channel);
    }
    if let (Some(bandwidth), Some(overhead)) = (number("S3", "bandwidth"), number("S3", "overhead"))
    {
        let look = number("S3", "poll_interval").map_or(Seconds::new(0.02), ms);
        let requests = Requests { send: Request::Put, receive: Request::Get, look };
        let channel = Channel { requests: Some(requests), ..stored(overhead, bandwidth) };
        profile.channels.insert("s3".to_owned(), channel);
        prices.store.put = number("S3", "upload_price").map_or(prices.store.put, Dollars::new);
        prices.store.get = number("S3", "download_price").map_or(prices.store.get, Dollars::new);
    }
    let hourly = |section: &str| number(section, "requests_per_hour").filter(|often| *often > 0.0);
    let often = hourly("Direct").or_else(|| hourly("Redis"));
    (profile, often.map(Rate::hourly))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_profile_by_its_name_or_in_a_file() {
        assert_eq!(Config::default().market().unwrap(), None);
        let shipped = Config::default().profile("aws-lambda").market().unwrap().unwrap();
        assert_eq!(shipped.profile.name, "aws-lambda");
        // A function of 1 GiB, unless it is said otherwise, has less of a processor than 1,769 MiB have.
        let large = Config::default().profile("aws-lambda").memory(4 << 30).market().unwrap();
        assert_eq!(large.unwrap().profile, Profile::shipped("aws-lambda").unwrap());
        let time = |profile: &Profile| profile.channel("tcp").transfer(Bytes::new(10 << 20));
        assert!(time(&shipped.profile) > time(&Profile::shipped("aws-lambda").unwrap()));
        assert!(shipped.reproducible);
        let faster = Config::default().profile("lan").reproducible(false).market().unwrap();
        assert!(!faster.unwrap().reproducible);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ours.toml");
        fs::write(&path, shipped.profile.to_toml().replace("aws-lambda", "ours")).unwrap();
        let ours = Config::default().profile(path.to_str().unwrap()).market().unwrap().unwrap();
        assert_eq!(ours.profile.name, "ours");
        let error = Config::default().profile("mars").market().unwrap_err().to_string();
        assert!(error.contains("name a file, or one of aws-lambda, lan, loopback"), "{error}");
        fs::write(&path, "name = 1").unwrap();
        let error = Config::default().profile(path.to_str().unwrap()).market().unwrap_err();
        assert!(error.to_string().contains("not a profile"), "{error}");
    }

    #[test]
    fn the_model_of_an_fmi_json() {
        let model = json!({
            "FaaS": { "gib_second_price": "0.00002" },
            "Redis": {
                "bandwidth_single": 100.0, "bandwidth_multiple": 400.0, "overhead": 5.2,
                "instance_price": 0.038, "requests_per_hour": 1000, "include_infrastructure_costs": true
            },
            "Direct": {
                "bandwidth": 400.0, "overhead": 0.34, "vm_price": 0.0134,
                "requests_per_hour": 1000, "include_infrastructure_costs": "false"
            },
            "S3": { "bandwidth": 50.0, "overhead": 40.4, "upload_price": 5.4e-6, "download_price": 4.3e-7 }
        });
        let config = Config { model: Some(model), ..Config::default() };
        let market = config.market().unwrap().unwrap();
        let time =
            |name: &str, bytes| market.profile.channel(name).transfer(Bytes::new(bytes)).get();
        assert!((time("tcp", 400_000_000) - 1.00034).abs() < 1e-9);
        assert!((time("redis", 0) - 0.0052).abs() < 1e-9);
        assert!((time("redis", 100_000_000) - 1.0052).abs() < 1e-9);
        assert!((time("s3", 50_000_000) - 1.0504).abs() < 1e-9);
        assert_eq!(market.profile.channel("tcp").machine, None);
        let machine = market.profile.channel("redis").machine.as_deref().unwrap();
        assert_eq!(market.costs.prices.hourly[machine], Dollars::new(0.038));
        assert_eq!(market.costs.prices.store.put, Dollars::new(5.4e-6));
        assert_eq!(market.costs.process.get(), 0.00002);
        assert_eq!(market.costs.often, Some(Rate::hourly(1000.0)));
        market.profile.check().unwrap();
    }

    #[test]
    fn nonsense_in_an_fmi_json_is_left_out() {
        for model in
            [json!(null), json!([]), json!({"Direct": 1, "S3": {"bandwidth": "x", "overhead": -1}})]
        {
            let config = Config { model: Some(model), ..Config::default() };
            let market = config.market().unwrap().unwrap();
            let lan = Profile::shipped("lan").unwrap();
            assert_eq!(market.profile.channels, lan.channels);
        }
    }
}
