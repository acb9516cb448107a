//! The nearest right word for a wrong one; nothing here knows what the words mean.

/// The word of `known` that `wrong` was most probably meant to be.
pub(crate) fn nearest<'a>(
    wrong: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    // A word longer than any we know is not a slip of the pen, and comparing takes quadratic time.
    if wrong.len() > 64 {
        return None;
    }
    let wrong = wrong.to_lowercase().replace('-', "_");
    let (distance, word) = known
        .into_iter()
        .map(|word| (distance(&wrong, &word.to_lowercase().replace('-', "_")), word))
        .min()?;
    let length = wrong.chars().count().max(word.chars().count());
    (distance <= (length / 3).max(1)).then_some(word)
}

/// Insertions, deletions, replacements and swaps of neighbours.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, right) in b.iter().enumerate() {
            let at = |row: &[usize], j: usize| row.get(j).copied().unwrap_or(usize::MAX / 2);
            let mut best = (at(&row, j) + 1).min(at(&last, j + 1) + 1);
            best = best.min(at(&last, j) + usize::from(left != right));
            let swapped =
                i > 0 && j > 0 && a.get(i - 1) == Some(right) && b.get(j - 1) == Some(left);
            if swapped {
                best = best.min(at(&before, j - 1) + 1);
            }
            row.push(best);
        }
        before = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_word_is_near() {
        let known = ["lifetime", "repositories", "max_repositories", "permissions"];
        assert_eq!(nearest("liftime", known), Some("lifetime"));
        assert_eq!(nearest("permisisons", known), Some("permissions"));
        assert_eq!(nearest("max-repositories", known), Some("max_repositories"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest(&"x".repeat(100_000), known), None);
    }
}
