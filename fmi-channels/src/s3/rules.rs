//! What the owner of a bucket sets up: a rule that removes what crashes leave behind, and a policy
//! that allows what is needed, no more.

use super::url::Location;
use fmi_actors::{Error, Result};
use std::fmt::Write;

/// S3 counts in days.
const DAYS: u32 = 1;

/// The lifecycle rule for the place that a URL names, as `aws s3api
/// put-bucket-lifecycle-configuration --lifecycle-configuration` takes it: what is older than a day is
/// deleted, uploads that were never completed too.
///
/// # Errors
/// [`Error::Config`] if the URL is wrong, or has no prefix: the rule would empty the bucket.
pub fn lifecycle(url: &str) -> Result<String> {
    let Location { prefix, .. } = Location::parse(url)?;
    if prefix.is_empty() {
        return Err(Error::Config {
            origin: "the URL of S3".to_owned(),
            message: "it has no prefix, so that a rule would delete everything in the bucket: use \
                      s3://BUCKET/PREFIX"
                .to_owned(),
        });
    }
    let (id, prefix) = (quoted(&format!("fmi {prefix}")), quoted(&format!("{prefix}/")));
    Ok(format!(
        r#"{{
  "Rules": [
    {{
      "ID": {id},
      "Status": "Enabled",
      "Filter": {{ "Prefix": {prefix} }},
      "Expiration": {{ "Days": {DAYS} }},
      "AbortIncompleteMultipartUpload": {{ "DaysAfterInitiation": {DAYS} }}
    }}
  ]
}}"#
    ))
}

/// The least policy with which processes can use the place that a URL names, as IAM takes it.
///
/// # Errors
/// [`Error::Config`] if the URL is wrong.
pub fn policy(url: &str) -> Result<String> {
    let Location { bucket, prefix, .. } = Location::parse(url)?;
    let slash = if prefix.is_empty() { "" } else { "/" };
    let bucket = format!("arn:aws:s3:::{bucket}");
    let objects = quoted(&format!("{bucket}/{prefix}{slash}*"));
    let bucket = quoted(&bucket);
    // Without a condition on the prefix: the right to list is also what makes S3 say that an object
    // is missing rather than forbidden, and a GET fulfils no such condition.
    Ok(format!(
        r#"{{
  "Version": "2012-10-17",
  "Statement": [
    {{
      "Effect": "Allow",
      "Action": [
        "s3:GetObject",
        "s3:PutObject",
        "s3:DeleteObject",
        "s3:AbortMultipartUpload"
      ],
      "Resource": {objects}
    }},
    {{
      "Effect": "Allow",
      "Action": "s3:ListBucket",
      "Resource": {bucket}
    }}
  ]
}}"#
    ))
}

/// As JSON writes it.
fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                quoted.push('\\');
                quoted.push(c);
            }
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c));
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_for_the_prefix_alone() {
        let rule = lifecycle("s3://bucket/a/%22b%5C").unwrap();
        assert!(rule.contains(r#""Prefix": "a/\"b\\/""#), "{rule}");
        assert_eq!(rule.matches(": 1 }").count(), 2, "{rule}");
        let whole = lifecycle("s3://bucket").unwrap_err().to_string();
        assert!(whole.contains("everything in the bucket"), "{whole}");
    }

    #[test]
    fn a_policy_names_what_errors_ask_for() {
        let policy = policy("s3://bucket/jobs").unwrap();
        for part in ["arn:aws:s3:::bucket/jobs/*\"", "arn:aws:s3:::bucket\""] {
            assert!(policy.contains(part), "{part}: {policy}");
        }
        assert!(super::policy("s3://bucket").unwrap().contains("arn:aws:s3:::bucket/*\""));
    }
}
