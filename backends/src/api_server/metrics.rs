//! The Prometheus text of `/metrics`, as far as counters need it. Knows no
//! metric by name.

use crate::ServerCounters;

/// Reads sample lines into name and value. Samples of one name that differ in
/// their labels are added up; comments, lines that are none, and values that
/// are no finite number are left out.
pub(super) fn parse(text: &str) -> ServerCounters {
    let mut counters = ServerCounters::default();
    for (name, value) in text.lines().filter_map(sample) {
        *counters.values.entry(name.to_owned()).or_default() += value;
    }
    counters
}

/// `NAME{LABELS} VALUE [TIMESTAMP]`
fn sample(line: &str) -> Option<(&str, f64)> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let name_end = line.find(|c: char| c == '{' || c.is_whitespace())?;
    let (name, rest) = line.split_at(name_end);
    let rest = match rest.strip_prefix('{') {
        Some(labels) => &labels[labels_end(labels)? + 1..],
        None => rest,
    };
    let value: f64 = rest.split_whitespace().next()?.parse().ok()?;
    (!name.is_empty() && value.is_finite()).then_some((name, value))
}

/// Where the labels' closing brace is; one inside a label's value does not count.
fn labels_end(labels: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    labels.char_indices().find_map(|(at, c)| {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '}' if !quoted => return Some(at),
            _ => {}
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn samples_are_added_up_over_labels() {
        let counters = parse(
            "# HELP a things\n# TYPE a counter\n\
             a{model=\"x\"} 1\na{model=\"y } \\\" z\"} 2.5 1700000000\n\
             lmdeploy:e2e_sum 3e2\nb NaN\nc +Inf\nbroken\nd{e=\"f\n{g=\"h\"} 1\n",
        );
        let values: Vec<_> = counters.values.iter().collect();
        assert_eq!(values.len(), 2, "{values:?}");
        assert_eq!(counters.values["a"], 3.5);
        assert_eq!(counters.values["lmdeploy:e2e_sum"], 300.0);
    }

    proptest::proptest! {
        #[test]
        fn any_page_can_be_read(page in "(?s).{0,200}", lines in "([a-z]{1,3}[{}\" \\\\0-9e.+-]{0,9}\n){0,9}") {
            let counters = parse(&(page + "\n" + &lines));
            proptest::prop_assert!(counters.values.keys().all(|name| !name.is_empty()));
        }
    }
}
