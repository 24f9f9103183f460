//! Kubernetes: an Indexed Job, a headless Service that gives its pod 0 a name, and a Secret with the token.
//!
//! Pod i hosts the i-th range of ranks (`JOB_COMPLETION_INDEX`, `FMI_PACKS`); pod 0 serves the rendezvous. A
//! pod that fails ends the job. What belongs together has the label `fmi.rs/job`.

use super::{
    super::{contract::common, job::Job, output::News},
    Engine,
};
use crate::failure::Failure;
use fmi::Config;
use fmi_channels::handshake::Token;
use futures::{FutureExt, future::BoxFuture};
use serde_json::{Map, Value, json};
use std::process::Stdio;
use tokio::{io::AsyncWriteExt, process::Command, sync::mpsc::Sender};

/// Kubernetes.
pub(super) struct Kubernetes;

/// Where pod 0 serves the rendezvous.
const PORT: u16 = 10_000;
/// Images are to be pulled, and pods to be scheduled, before all have joined.
const JOIN: &str = "10 min";
/// How long an ended job is kept, in seconds.
const KEPT: u32 = 24 * 3600;
/// The longest name: pods have an index behind it, and names of hosts have 63 characters.
const LONGEST: usize = 52;

impl Engine for Kubernetes {
    fn describe(&self, job: &Job) -> Result<String, Failure> {
        // Nobody knows when it will be applied, and so when its time is over.
        described(job, None)
    }

    fn run<'a>(&'a self, job: &'a Job, news: Sender<News>) -> BoxFuture<'a, Result<u8, Failure>> {
        // Nothing comes of the pods here.
        drop(news);
        apply(job).boxed()
    }

    fn stays(&self) -> bool {
        false
    }
}

fn described(job: &Job, until: Option<String>) -> Result<String, Failure> {
    let config = Config::from_env()?;
    let token = match &config.token {
        Some(token) => token.expose().to_owned(),
        None => Token::random()?.reveal().to_owned(),
    };
    let name = name(&config.job, &Token::random()?);
    text(&manifest(job, &config, &name, &token, until)?)
}

/// Gives the manifest to the user's `kubectl`.
async fn apply(job: &Job) -> Result<u8, Failure> {
    let text = described(job, job.until())?;
    let kubectl = Command::new("kubectl").args(["apply", "-f", "-"]).stdin(Stdio::piped()).spawn();
    let mut kubectl = kubectl.map_err(|error| {
        Failure::new(format!(
            "cannot start kubectl: {error}: install it, or print the manifest with --dry-run"
        ))
        .with_code(127)
    })?;
    if let Some(mut input) = kubectl.stdin.take() {
        input.write_all(text.as_bytes()).await?;
    }
    let status = kubectl.wait().await?;
    if status.success() {
        eprintln!(
            "fmi run: watch it with `kubectl get pods -l fmi.rs/job`, read it with `kubectl logs`; the job \
             is gone a day after its end, its Service and Secret with `kubectl delete`"
        );
    }
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// The three objects.
fn manifest(
    job: &Job,
    config: &Config,
    name: &str,
    token: &str,
    until: Option<String>,
) -> Result<[Value; 3], Failure> {
    let image = job.launch.image.as_ref().ok_or_else(|| {
        Failure::usage(
            "which image has the program? Write --image IMAGE, or image = \"…\" into the section [job] of \
             fmi.toml",
        )
    })?;
    let labels = json!({ "fmi.rs/job": name, "app.kubernetes.io/managed-by": "fmi" });
    let metadata = json!({ "name": name, "labels": labels });
    let mut secrets = Map::from_iter([("token".to_owned(), json!(token))]);
    // No reports: their folder is of this machine.
    let mut env: Vec<_> = common(&Job { name: None, folder: None, channel: None, ..job.clone() })
        .into_iter()
        .filter_map(|(name, value)| Some(json!({ "name": name, "value": value? })))
        .collect();
    let rendezvous = match &job.rendezvous {
        Some(rendezvous) => rendezvous.url(),
        None => format!("tcp://{name}-0.{name}:{PORT}"),
    };
    let mut from_secret = |variable: &str, key: &str, value: Option<String>| {
        secrets.extend(value.map(|value| (key.to_owned(), json!(value))));
        let key = json!({ "secretKeyRef": { "name": name, "key": key } });
        env.push(json!({ "name": variable, "valueFrom": key }));
    };
    from_secret("FMI_TOKEN", "token", None);
    // URLs may have passwords.
    from_secret("FMI_RENDEZVOUS", "rendezvous", Some(rendezvous));
    if let Some(channels) = channels(job, config) {
        from_secret("FMI_CHANNELS", "channels", Some(channels));
    }
    let mut set = |name: &str, value: String| env.push(json!({ "name": name, "value": value }));
    set("FMI_JOB", name.to_owned());
    set("FMI_PACKS", job.packs.to_string());
    set("FMI_JOIN", JOIN.to_owned());
    if let Some(until) = until {
        set("FMI_UNTIL", until);
    }
    if job.rendezvous.is_none() {
        set("FMI_SERVE", format!("0.0.0.0:{PORT}"));
    }
    let words = |words: &[std::ffi::OsString]| -> Vec<String> {
        words.iter().map(|word| word.to_string_lossy().into_owned()).collect()
    };
    let mut container = json!({
        "name": "rank",
        "image": image,
        "command": words(std::slice::from_ref(&job.program)),
        "args": words(&job.arguments),
        "env": env,
    });
    if let Some(bytes) = job.launch.memory {
        let memory = json!({ "memory": bytes.to_string() });
        container["resources"] = json!({ "requests": memory, "limits": memory });
    }
    let mut spec = json!({
        "completionMode": "Indexed",
        "completions": job.packs,
        "parallelism": job.packs,
        // A group that has lost a rank is not made whole by one more pod.
        "backoffLimit": 0,
        "ttlSecondsAfterFinished": KEPT,
        "template": {
            "metadata": { "labels": labels },
            "spec": { "subdomain": name, "restartPolicy": "Never", "containers": [container] },
        },
    });
    if job.keep_going {
        spec["backoffLimitPerIndex"] = json!(0);
        spec["maxFailedIndexes"] = json!(job.packs);
        if let Some(spec) = spec.as_object_mut() {
            spec.remove("backoffLimit");
        }
    }
    if let Some(deadline) = job.launch.deadline {
        spec["activeDeadlineSeconds"] = json!(deadline.as_secs().max(1));
    }
    Ok([
        json!({ "apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": secrets }),
        json!({
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {
                "clusterIP": "None",
                // Pod 0 is never ready before the others have found it.
                "publishNotReadyAddresses": true,
                "selector": { "fmi.rs/job": name },
                "ports": [{ "name": "rendezvous", "port": PORT }],
            },
        }),
        json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec }),
    ])
}

/// The channels that were asked for, as `FMI_CHANNELS` has them.
fn channels(job: &Job, config: &Config) -> Option<String> {
    let all = job.channel.as_ref().map_or(&config.channels[..], std::slice::from_ref);
    let texts: Vec<_> = all.iter().map(|spec| spec.url().unwrap_or(spec.name())).collect();
    (!texts.is_empty()).then(|| texts.join(","))
}

/// A name as Kubernetes takes it: that of the job, or one of our own.
fn name(job: &str, random: &Token) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name: String = job.chars().map(fit).take(LONGEST).collect();
    let name = name.trim_matches('-');
    match name.starts_with(|c: char| c.is_ascii_alphabetic()) && job != Config::default().job {
        true => name.to_owned(),
        false => format!("fmi-{}", random.reveal().get(..8).unwrap_or_default()),
    }
}

/// YAML, a document each.
fn text(objects: &[Value]) -> Result<String, Failure> {
    let mut text = String::new();
    for object in objects {
        let yaml = serde_saphyr::to_string(object)
            .map_err(|error| Failure::new(format!("the manifest cannot be written: {error}")))?;
        text.push_str("---\n");
        text.push_str(&yaml);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::{
        batch::v1 as batch,
        core::v1::{self as core},
    };
    use serde::{Serialize, de::DeserializeOwned};
    use std::time::Duration;

    fn job() -> Job {
        let mut job = Job::new("/train".into(), vec!["--epochs".into(), "3".into()], 10);
        job.packs = 4;
        job.launch.image = Some("registry.example.com/train:1".to_owned());
        job.launch.memory = Some(2 << 30);
        job.launch.deadline = Some(Duration::from_secs(600));
        job.launch.environment = vec![("DATA".to_owned(), "yes".to_owned())];
        job
    }

    /// Reads one document of the text as what Kubernetes takes it for. What it does not know would be gone.
    fn read<T: DeserializeOwned + Serialize>(object: &Value) -> T {
        let yaml = serde_saphyr::to_string(object).unwrap();
        let read: Value = serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(read, *object, "{yaml}");
        let typed: T = serde_json::from_value(read).unwrap();
        assert_eq!(serde_json::to_value(&typed).unwrap(), *object, "{yaml}");
        typed
    }

    #[test]
    fn the_objects_are_kubernetes_own() {
        let config = Config::default().channels("local,tcp").unwrap();
        let [secret, service, job] =
            manifest(&job(), &config, "train", "a secret", Some("7".to_owned())).unwrap();
        let text = text(&[secret.clone(), service.clone(), job.clone()]).unwrap();
        assert_eq!(text.matches("---\n").count(), 3);
        assert_eq!(text.matches("a secret").count(), 1, "{text}");
        let secret: core::Secret = read(&secret);
        let data = secret.string_data.unwrap();
        assert_eq!(data["rendezvous"], "tcp://train-0.train:10000");
        assert_eq!((&data["token"][..], &data["channels"][..]), ("a secret", "local,tcp"));
        let service: core::Service = read(&service);
        let service = service.spec.unwrap();
        assert_eq!(service.cluster_ip.as_deref(), Some("None"));
        let job: batch::Job = read(&job);
        let spec = job.spec.unwrap();
        assert_eq!(spec.completion_mode.as_deref(), Some("Indexed"));
        assert_eq!(
            (spec.completions, spec.parallelism, spec.backoff_limit),
            (Some(4), Some(4), Some(0))
        );
        assert_eq!(spec.active_deadline_seconds, Some(600));
        let pod = spec.template.spec.unwrap();
        assert_eq!(
            (pod.restart_policy.as_deref(), pod.subdomain.as_deref()),
            (Some("Never"), Some("train"))
        );
        let labels = spec.template.metadata.unwrap().labels.unwrap();
        assert!(service.selector.unwrap().iter().all(|(key, value)| labels[key] == *value));
        let container = &pod.containers[0];
        assert_eq!(container.command, Some(vec!["/train".to_owned()]));
        let env = container.env.as_ref().unwrap();
        let value = |name: &str| {
            let found = env.iter().find(|variable| variable.name == name).expect(name);
            found.value.clone()
        };
        assert_eq!(value("FMI_SIZE").as_deref(), Some("10"));
        assert_eq!(value("FMI_PACKS").as_deref(), Some("4"));
        assert_eq!(value("DATA").as_deref(), Some("yes"));
        assert_eq!(value("FMI_SERVE").as_deref(), Some("0.0.0.0:10000"));
        assert_eq!(value("FMI_UNTIL").as_deref(), Some("7"));
        assert_eq!(value("FMI_TOKEN"), None, "it is in the Secret alone");
        assert_eq!(value("FMI_MEMORY").as_deref(), Some("2147483648 B"));
    }

    #[test]
    fn others_go_on_if_they_are_to() {
        let mut job = job();
        job.keep_going = true;
        let [_, _, object] = manifest(&job, &Config::default(), "train", "x", None).unwrap();
        let spec = read::<batch::Job>(&object).spec.unwrap();
        assert_eq!((spec.backoff_limit_per_index, spec.max_failed_indexes), (Some(0), Some(4)));
        job.launch.image = None;
        let wrong = manifest(&job, &Config::default(), "train", "x", None).unwrap_err().to_string();
        assert!(wrong.contains("--image"), "{wrong}");
    }

    #[test]
    fn names_are_those_of_hosts() {
        let random = Token::random().unwrap();
        assert_eq!(name("Scoring_42 ", &random), "scoring-42");
        for job in ["default", "42", "", "---"] {
            assert!(name(job, &random).starts_with("fmi-"), "{job}");
        }
        assert!(name(&"x".repeat(99), &random).len() <= LONGEST);
    }
}
