//! The name that was probably meant.

/// Names that are longer than this, in bytes, are nobody's slip of the finger.
const LONGEST: usize = 64;

/// Of `names`, the one that was probably meant by `given`: a letter or two are wrong, or it is how one begins.
pub fn closest_match<'a>(given: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if given.len() > LONGEST {
        return None;
    }
    let given = given.to_lowercase();
    names
        .into_iter()
        .map(|name| {
            let begins = given.len() >= 2 && name.starts_with(&given);
            (if begins { 1 } else { strsim::damerau_levenshtein(&given, &name.to_lowercase()) }, name)
        })
        .min_by_key(|(distance, _)| *distance)
        .filter(|(distance, name)| *distance <= (name.len() / 3).max(1))
        .map(|(_, name)| name)
}

/// `; did you mean X?`, or nothing.
pub fn did_you_mean(nearest: Option<String>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean {name}?"))
}
