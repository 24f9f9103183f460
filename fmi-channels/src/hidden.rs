//! URLs as they may be shown.

/// A store's URL without user, password and parameters.
pub(crate) fn hidden(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    // A password may have any character in it: what counts is the last "@".
    let whole = rest
        .rsplit_once('@')
        .map_or(&rest[..end], |(_, host)| &host[..host.find(['?', '#']).unwrap_or(host.len())]);
    format!("{scheme}://{whole}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_left() {
        for (url, shown) in [
            ("redis://h:6379/0", "redis://h:6379/0"),
            ("redis://me:pw@h:6379/0?protocol=resp3", "redis://h:6379/0"),
            ("redis://:p@ss?w/ord@h", "redis://h"),
            ("s3://bucket/prefix?region=x", "s3://bucket/prefix"),
            ("s3://bucket?key=a@b", "s3://b"),
        ] {
            assert_eq!(hidden(url), shown);
        }
    }
}
