//! The page of `pairbench dataset`: what a dataset holds, what the filter
//! dropped, and what would be asked. Knows counts and lengths, no file and no
//! tokenizer.

use super::format::{Grid, WIDTH, line, number};
use super::histogram;
use crate::stats::Distribution;
use crate::stats::words::{counted, grouped, one_line};

/// What the page shows.
#[derive(Debug, Default)]
pub struct Page {
    /// Where the prompts come from, in words.
    pub source: String,
    /// The tokenizer, as it describes itself.
    pub tokenizer: String,
    /// The rule of the choice, in words.
    pub rule: String,
    /// What each step left or dropped, in order: what, and how many.
    pub steps: Vec<(String, u64)>,
    /// Prompt tokens of the chosen requests, as the rule counts them.
    pub prompt_tokens: Vec<u32>,
    /// Length that each of them asks for, in tokens.
    pub output_tokens: Vec<u32>,
    /// Digest of the workload.
    pub digest: String,
}

/// Draws the page. Ends with a line feed.
#[must_use]
pub fn page(page: &Page) -> String {
    let mut out = String::new();
    let foreign = |text: &str| one_line(text, WIDTH);
    line(&mut out, "dataset", &foreign(&page.source));
    line(&mut out, "tokenizer", &foreign(&page.tokenizer));
    line(&mut out, "choice", &page.rule);
    steps(&mut out, &page.steps);
    if page.prompt_tokens.is_empty() {
        out.push_str("\nnothing would be asked\n");
        return out;
    }
    lengths(&mut out, page);
    drawing(&mut out, "prompt tokens", &page.prompt_tokens);
    drawing(&mut out, "output tokens to ask for", &page.output_tokens);
    out.push_str(&format!(
        "\nworkload {}: {}\n",
        page.digest,
        counted(count(&page.prompt_tokens), "request", "requests")
    ));
    out
}

fn count(lengths: &[u32]) -> u64 {
    u64::try_from(lengths.len()).unwrap_or(u64::MAX)
}

fn steps(out: &mut String, steps: &[(String, u64)]) {
    let widest = steps.iter().map(|(name, _)| name.chars().count()).max();
    let figures = steps.iter().map(|(_, number)| grouped(*number).len()).max();
    let (Some(widest), Some(figures)) = (widest, figures) else {
        return;
    };
    out.push('\n');
    for (name, number) in steps {
        let figure = grouped(*number);
        out.push_str(&format!("{name:<widest$}  {figure:>figures$}\n"));
    }
}

fn lengths(out: &mut String, page: &Page) {
    out.push('\n');
    let header = ["total", "mean", "min", "p50", "p90", "p95", "p99", "max"];
    let mut grid = Grid::new("tokens", &header.map(str::to_owned));
    for (name, lengths) in [
        ("prompt", &page.prompt_tokens),
        ("output", &page.output_tokens),
    ] {
        grid.row(name, &row(lengths));
    }
    grid.print(out);
}

fn row(lengths: &[u32]) -> Vec<String> {
    let total: u64 = lengths.iter().map(|&length| u64::from(length)).sum();
    let of = Distribution::of(lengths.iter().map(|&length| f64::from(length)).collect());
    let part = |part: fn(Distribution) -> f64, decimals| number(of.map(part), decimals);
    vec![
        grouped(total),
        part(|of| of.mean, 1),
        lengths
            .iter()
            .min()
            .map_or(String::new(), |&least| grouped(u64::from(least))),
        part(|of| of.p50, 0),
        part(|of| of.p90, 0),
        part(|of| of.p95, 0),
        part(|of| of.p99, 0),
        part(|of| of.max, 0),
    ]
}

fn drawing(out: &mut String, title: &str, lengths: &[u32]) {
    out.push_str(&format!("\n{title}\n"));
    histogram::draw(out, lengths);
}

#[cfg(test)]
mod tests {
    use super::{Page, page};

    #[test]
    fn the_page_has_what_people_look_for() {
        let shown = page(&Page {
            source: "d.json: sharegpt\u{1b}[2J".to_owned(),
            tokenizer: "t".to_owned(),
            rule: "lmdeploy-0.1, seed 0".to_owned(),
            steps: vec![
                ("records".to_owned(), 1_234),
                ("  prompt too long".to_owned(), 5),
            ],
            prompt_tokens: vec![4, 8, 1_024],
            output_tokens: vec![100; 3],
            digest: "0123456789ab".to_owned(),
        });
        for part in [
            "dataset         d.json: sharegpt [2J\n",
            "records            1,234\n",
            "  prompt too long      5\n",
            "1,036",
            "345.3",
            "workload 0123456789ab: 3 requests\n",
        ] {
            assert!(shown.contains(part), "{part:?} is not in\n{shown}");
        }
        assert!(shown.lines().all(|line| line.chars().count() <= 100));
    }

    #[test]
    fn nothing_is_said_in_words() {
        assert!(page(&Page::default()).ends_with("nothing would be asked\n"));
    }
}
