//! What is found out about an S3 bucket.

use super::{super::Finding, exchange, millis, rate};
use fmi_channels::s3::{self, Examination};

const CHECK: &str = "s3";

pub(super) async fn examine(url: &str) -> Vec<Finding> {
    let examined = match s3::examine(url).await {
        Ok(examined) => examined,
        Err(error) => {
            let advice =
                "look at bucket, region, endpoint and credentials; docs/s3.md has the URLs";
            return vec![Finding::problem(CHECK, error.to_string(), advice)];
        }
    };
    let Examination { store, look, put, up, down, denied, .. } = &examined;
    let mut text = format!("{store} answers: look {}, put {}", millis(*look), millis(*put));
    if *up > 0.0 {
        text += &format!(", {} to it, {} from it", rate(*up), rate(*down));
    }
    let mut findings = vec![Finding::ok(CHECK, text)];
    findings.extend(denied.iter().map(|reason| {
        let advice = "`fmi doctor s3 --policy URL` prints the whole policy";
        Finding::problem(CHECK, reason.clone(), advice)
    }));
    if denied.is_empty() {
        findings.push(Finding::ok(CHECK, "these credentials allow all that is needed"));
        findings.push(match examined.once_only {
            true => Finding::ok(CHECK, "processes can meet there (conditional writes)"),
            false => Finding::note(
                CHECK,
                "it does not know conditional writes (If-None-Match), so processes cannot meet there",
                "set FMI_RENDEZVOUS to another place; messages go through it all the same",
            ),
        });
    }
    findings.push(cleaning(&examined));
    if denied.is_empty() && examined.once_only {
        findings.push(match exchange(url).await {
            Ok(took) => Finding::ok(
                CHECK,
                format!("two ranks met there and exchanged messages ({})", millis(took)),
            ),
            Err(error) => Finding::problem(
                CHECK,
                error.to_string(),
                "FMI_LOG=debug shows what was tried; docs/s3.md has what the store must do",
            ),
        });
    }
    findings
}

/// Who removes what crashes leave behind.
fn cleaning(examined: &Examination) -> Finding {
    let advice = "`fmi doctor s3 --lifecycle URL` prints the rule; `aws s3api \
                  put-bucket-lifecycle-configuration` takes it (and replaces rules that are there)";
    match examined.cleaned {
        Some(true) => Finding::ok(CHECK, "a rule of the bucket cleans up after crashes"),
        Some(false) => {
            Finding::note(CHECK, "no rule of the bucket cleans up after crashes", advice)
        }
        None => Finding::note(
            CHECK,
            "whether a rule cleans up after crashes cannot be seen from here",
            advice,
        ),
    }
}
