//! "Did you mean …?"

/// The known word that `wrong` is probably a slip of, if there is one.
pub(super) fn closest<'a>(
    wrong: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    known
        .into_iter()
        .filter_map(|word| slips(wrong, word).map(|slips| (slips, word)))
        .min()
        .map(|(_, word)| word)
}

/// How many slips (a letter wrong, missing, too many, or two swapped) lie between two words, in
/// any case; `None` if too many for a third of the word's letters.
pub(super) fn slips(wrong: &str, right: &str) -> Option<usize> {
    let (a, b) = (letters(wrong), letters(right));
    // A long word is no slip of a short one; this also bounds the work on hostile input.
    let allowed = (b.len() / 3).max(1);
    if a.len().abs_diff(b.len()) > allowed {
        return None;
    }
    let slips = distance(&a, &b);
    (slips <= allowed).then_some(slips)
}

fn letters(word: &str) -> Vec<char> {
    word.chars().flat_map(char::to_lowercase).collect()
}

/// Edit distance with swaps of neighbours (optimal string alignment), three rows at a time.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let change = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = change.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = above;
        above = row;
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_slips() {
        assert_eq!(slips("rank", "rank"), Some(0));
        assert_eq!(slips("rnak", "rank"), Some(1));
        assert_eq!(slips("ran", "rank"), Some(1));
        assert_eq!(slips("s3", "S3"), Some(0));
        assert_eq!(slips("rendevouz", "rendezvous"), Some(2));
        assert_eq!(slips("colour", "rank"), None);
        assert_eq!(slips("", "rank"), None);
    }

    #[test]
    fn finds_the_closest() {
        assert_eq!(closest("tpc", ["local", "tcp"]), Some("tcp"));
        assert_eq!(closest("carrier-pigeon", ["local", "tcp"]), None);
    }
}
