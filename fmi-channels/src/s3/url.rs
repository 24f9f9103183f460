//! `s3://BUCKET/PREFIX?region=…&endpoint=…&path_style=…`

use fmi_actors::{Error, Result};
use std::fmt;

/// Where a job's objects are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// The bucket.
    pub bucket: String,
    /// What all keys begin with; without slashes at its ends, and may be empty.
    pub prefix: String,
    /// The bucket's region, if the environment does not say it.
    pub region: Option<String>,
    /// Another server than AWS: `http://127.0.0.1:9000`.
    pub endpoint: Option<String>,
    /// The bucket stands in the path, not in the host's name; by default with an endpoint.
    pub path_style: bool,
}

const KEYS: &str = "region, endpoint and path_style";

impl Location {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`Error::Config`] that says what would be right.
    pub fn parse(url: &str) -> Result<Self> {
        let wrong = |message: String| Error::Config { origin: "the URL of S3".to_owned(), message };
        let Some(rest) = url.strip_prefix("s3://") else {
            return Err(wrong("it begins with s3://".to_owned()));
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
        if bucket.contains('@') {
            // Not repeated: a secret may stand there.
            return Err(wrong(
                "credentials do not belong into it: set AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY, or use a role"
                    .to_owned(),
            ));
        }
        let named = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if !(3..=63).contains(&bucket.len()) || !bucket.chars().all(named) {
            return Err(wrong(format!(
                "\"{bucket}\" is no bucket's name: s3://BUCKET/PREFIX, 3 to 63 letters and digits"
            )));
        }
        let prefix = decoded(prefix.trim_matches('/'))
            .ok_or_else(|| wrong(format!("its prefix \"{prefix}\" is not percent-encoded text")))?;
        if prefix.len() > 512 {
            return Err(wrong(format!("its prefix has {} bytes, at most 512 fit", prefix.len())));
        }
        let mut location = Self {
            bucket: bucket.to_owned(),
            prefix,
            region: None,
            endpoint: None,
            path_style: false,
        };
        let mut path_style = None;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = decoded(value).ok_or_else(|| {
                wrong(format!("\"{key}\" has a value that is not percent-encoded text"))
            })?;
            match key {
                "region" if !value.is_empty() => location.region = Some(value),
                "endpoint" => {
                    if !["http://", "https://"].iter().any(|scheme| value.starts_with(scheme)) {
                        return Err(wrong(format!(
                            "endpoint \"{value}\" begins with http:// or https://"
                        )));
                    }
                    location.endpoint = Some(value);
                }
                "path_style" => {
                    path_style = Some(match value.as_str() {
                        "true" | "1" | "" => true,
                        "false" | "0" => false,
                        _ => {
                            return Err(wrong(format!(
                                "path_style is true or false, not \"{value}\""
                            )));
                        }
                    });
                }
                "region" => return Err(wrong("region has no value".to_owned())),
                _ => return Err(wrong(format!("\"{key}\" is unknown: there are {KEYS}"))),
            }
        }
        // Servers of one's own rarely have a name for each bucket.
        location.path_style = path_style.unwrap_or(location.endpoint.is_some());
        Ok(location)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.bucket)?;
        if !self.prefix.is_empty() {
            write!(f, "/{}", self.prefix)?;
        }
        if let Some(endpoint) = &self.endpoint {
            write!(f, " at {endpoint}")?;
        }
        Ok(())
    }
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first == b'%' {
            let (digits, tail) = rest.split_at_checked(2)?;
            if !digits.iter().all(u8::is_ascii_hexdigit) {
                return None;
            }
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = tail;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_can_hold() {
        let plain = Location::parse("s3://bucket").unwrap();
        assert_eq!((plain.bucket.as_str(), plain.prefix.as_str()), ("bucket", ""));
        assert!(plain.region.is_none() && plain.endpoint.is_none() && !plain.path_style);
        let whole = "s3://my-bucket/a/b%20c/?region=eu-west-1&endpoint=http://[::1]:9000";
        let whole = Location::parse(whole).unwrap();
        assert_eq!(whole.prefix, "a/b c");
        assert_eq!(whole.region.as_deref(), Some("eu-west-1"));
        assert_eq!(whole.endpoint.as_deref(), Some("http://[::1]:9000"));
        assert!(whole.path_style, "by default with an endpoint");
        let host = "s3://bucket?endpoint=https%3A%2F%2Fstore.example&path_style=false";
        let host = Location::parse(host).unwrap();
        assert_eq!(host.endpoint.as_deref(), Some("https://store.example"));
        assert!(!host.path_style);
        assert_eq!(host.to_string(), "s3://bucket at https://store.example");
    }

    #[test]
    fn says_what_would_be_right() {
        for (url, part) in [
            ("https://bucket", "s3://"),
            ("s3://", "no bucket's name"),
            ("s3://a b", "no bucket's name"),
            ("s3://bucket?regoin=x", "\"regoin\" is unknown"),
            ("s3://bucket?region=", "no value"),
            ("s3://bucket?endpoint=localhost:9000", "http://"),
            ("s3://bucket?path_style=maybe", "true or false"),
            ("s3://bucket/%zz", "percent-encoded"),
        ] {
            let error = Location::parse(url).unwrap_err().to_string();
            assert!(error.contains(part), "{url}: {error}");
        }
        let error = Location::parse("s3://AKIA:secret@bucket").unwrap_err().to_string();
        assert!(error.contains("credentials") && !error.contains("secret@"), "{error}");
    }
}
