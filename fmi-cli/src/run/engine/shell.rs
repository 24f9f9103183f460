//! Commands as a shell reads them.

use super::super::job::Job;

/// The program and its arguments, for a shell.
pub(super) fn command_line(job: &Job) -> String {
    let words = std::iter::once(&job.program).chain(&job.arguments);
    words.map(|word| quoted(&word.to_string_lossy())).collect::<Vec<_>>().join(" ")
}

/// A word for a shell.
pub(super) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
    match !word.is_empty() && word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_mean_themselves() {
        for (word, text) in [
            ("a/b-c_1.x=2", "a/b-c_1.x=2"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's $HOME", r"'it'\''s $HOME'"),
            ("a\nb", "'a\nb'"),
        ] {
            assert_eq!(quoted(word), text);
        }
    }
}
