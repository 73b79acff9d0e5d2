//! The command line, close to the flags and without side effects: what was
//! typed, not yet what it means. One place per flag; [`crate::config`] checks
//! and completes it.

mod access;
mod calibrate;
mod experiment;
mod run;
mod sim;
mod work;
mod yardstick;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use access::AccessArgs;
pub use calibrate::{CalibrateArgs, Spread};
pub use experiment::{ExperimentArgs, FormatArg, JudgeArgs, PageArgs};
pub use run::RunArgs;
pub use sim::SimArgs;
pub use work::{AskArgs, DataArgs, PromptArg, WorkArgs};
pub use yardstick::YardstickArgs;

/// Compares the two ways of serving a model with LMDeploy: Triton (gRPC) and
/// api_server (HTTP). One pipeline samples the prompts, keeps the schedule and
/// takes the times; only the wire differs.
#[derive(Debug, Parser)]
#[command(name = "pairbench", version, max_term_width = 80, after_help = EXAMPLES, help_expected = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  See it work, with embedded servers and bundled data:
    pairbench demo
  One server, LMDeploy's own arguments, a row in ./profile_tis.csv:
    pairbench profile --backend tis 0.0.0.0:33337 ./tokenizer ./sharegpt.json
  Both servers, the same prompts, side by side:
    pairbench compare --backend tis=0.0.0.0:33337 \\
      --backend api_server=0.0.0.0:23333 ./tokenizer ./sharegpt.json
  How much of it is the client's own delay: first, at the same load
    pairbench calibrate --backend tis --backend api_server --concurrency 32
  What would be asked, and its digest, without a server:
    pairbench dataset ./tokenizer ./sharegpt.json
  The same report again, from the records:
    pairbench report ./pairbench-runs/20261124T031824Z-tis

Exit code: 0 valid, 1 finished but invalid, 2 error.
Results go to standard output, progress and warnings to standard error.";

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure one server
    Profile(ProfileArgs),
    /// Measure two or more servers or ways with the same requests
    Compare(CompareArgs),
    /// Compare all ways on embedded, simulated servers with bundled data
    Demo(DemoArgs),
    /// Measure the client's own delay, so that compare can weigh it
    Calibrate(CalibrateArgs),
    /// Serve a simulated model, to try clients against
    Serve(ServeArgs),
    /// Print the report of finished runs again, from their records
    ///
    /// Arms of one comparison are compared by their blocks, as when they were
    /// measured. Two runs that were made apart are compared, too, with wider
    /// intervals, and not at all where their work differs: other prompts, prompt
    /// mode or streaming.
    Report(ReportArgs),
    /// Look at a dataset with a tokenizer: what would be asked, no server needed
    Dataset(DatasetArgs),
    /// Be the servers that the tool measures itself against
    #[command(hide = true)]
    Yardstick(YardstickArgs),
}

/// Arguments of `profile`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
#[command(after_help = PROFILE_EXAMPLES, override_usage = "\
pairbench profile [OPTIONS] --backend <NAME>
                         <SERVER_ADDR> <TOKENIZER_PATH> [DATASET]")]
pub struct ProfileArgs {
    /// Way to ask the server
    #[arg(long, value_name = "NAME", help = backend_help())]
    pub backend: String,

    /// Address of the server as HOST:PORT, or `sim` for an embedded, simulated
    /// one
    #[arg(value_name = "SERVER_ADDR")]
    pub address: String,

    /// What is asked of the server.
    #[command(flatten)]
    pub work: WorkArgs,

    /// How the run goes.
    #[command(flatten)]
    pub run: RunArgs,

    /// How an embedded server behaves.
    #[command(flatten)]
    pub sim: SimArgs,
}

const PROFILE_EXAMPLES: &str = "\
Examples:
  pairbench profile --backend api_server 0.0.0.0:23333 ./tokenizer \\
    ./sharegpt.json --concurrency 64 --num-prompts 2000 --stream_output
  pairbench profile --backend tis-ensemble sim ./tokenizer ./sharegpt.json \\
    --num-prompts 100 --sim-first-token-ms 50";

/// Arguments of `compare`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
#[command(after_help = COMPARE_EXAMPLES, override_usage = "\
pairbench compare [OPTIONS] --backend <NAME=ADDR> --backend <NAME=ADDR>
                         <TOKENIZER_PATH> [DATASET]")]
pub struct CompareArgs {
    /// An arm: a way to ask and a server's address, or NAME=sim for an
    /// embedded, simulated server. Two or more; the first is the one that the
    /// others are compared to. Names as in `profile --backend`. With ",model=M"
    /// behind the address the arm asks for that model
    #[arg(long = "backend", value_name = "NAME=ADDR", required = true)]
    pub backends: Vec<String>,

    /// What is asked of the servers.
    #[command(flatten)]
    pub work: WorkArgs,

    /// How the arms are played against each other.
    #[command(flatten)]
    pub experiment: ExperimentArgs,

    /// What is held to be a difference.
    #[command(flatten)]
    pub judge: JudgeArgs,

    /// How results are shown.
    #[command(flatten)]
    pub page: PageArgs,

    /// How the run goes.
    #[command(flatten)]
    pub run: RunArgs,

    /// How embedded servers behave.
    #[command(flatten)]
    pub sim: SimArgs,
}

const COMPARE_EXAMPLES: &str = "\
Examples:
  pairbench compare --backend tis=0.0.0.0:33337 \\
    --backend api_server=0.0.0.0:23333 ./tokenizer ./sharegpt.json
  Where does Triton lose time? The same engine, asked in four ways:
  pairbench compare --backend tis-chatbot=HOST:33337 --backend tis=HOST:33337 \\
    --backend tis-ensemble=HOST:33337 --backend tis-direct=HOST:33337 \\
    ./tokenizer ./sharegpt.json --num-prompts 500
  As many blocks as it takes to know the throughput to 2 %, at most an hour:
  pairbench compare --backend tis=HOST:33337 --backend api_server=HOST:23333 \\
    ./tokenizer ./sharegpt.json --precision 2% --max-time 60
  In CI: fail if Triton lets the slowest users wait 5 % longer
  pairbench compare --backend tis=HOST:33337 --backend api_server=HOST:23333 \\
    ./tokenizer ./sharegpt.json \\
    --fail-if 'tis.ttft_p99 > 1.05 * api_server.ttft_p99'";

/// Arguments of `demo`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true, after_help = DEMO_EXAMPLES)]
pub struct DemoArgs {
    /// Requests in flight at once, per server
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub concurrency: u32,

    /// Requests per server and all blocks, chosen from the bundled conversations
    #[arg(
        long = "num-prompts",
        visible_alias = "num_prompts",
        value_name = "N",
        default_value_t = 96
    )]
    pub num_prompts: u32,

    /// Blocks that they are cut into; every server plays each of them once
    #[arg(long, value_name = "N", default_value_t = 6)]
    pub blocks: u32,

    /// Seed of the choice
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,

    /// How results are shown.
    #[command(flatten)]
    pub page: PageArgs,

    /// File that gets the rows
    #[arg(long, value_name = "FILE", default_value = "./profile_demo.csv")]
    pub csv: PathBuf,

    /// Folder that gets a folder of raw records per server
    #[arg(long, value_name = "DIR", default_value = "./pairbench-runs")]
    pub records: PathBuf,
}

const DEMO_EXAMPLES: &str = "\
Example:
  pairbench demo --concurrency 16 --num-prompts 200";

/// Arguments of `serve`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
#[command(after_help = SERVE_EXAMPLES)]
pub struct ServeArgs {
    /// Protocol to speak: any `tis` name serves all Triton models, `api_server`
    /// serves HTTP
    #[arg(long, value_name = "NAME")]
    pub backend: String,

    /// Address to listen on; port 0 takes a free one, which is printed
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:0")]
    pub listen: String,

    /// Tokenizer folder or file; without it every byte of a prompt is a token
    #[arg(long, value_name = "PATH")]
    pub tokenizer: Option<PathBuf>,

    /// Family of the tokenizer, where its files do not tell it: qwen, llama-3,
    /// glm-4, gpt-2 or qwen-2 [default: as its files say]
    #[arg(
        long = "tokenizer-family",
        visible_alias = "tokenizer_family",
        value_name = "NAME"
    )]
    pub tokenizer_family: Option<String>,

    /// How the server behaves.
    #[command(flatten)]
    pub sim: SimArgs,
}

const SERVE_EXAMPLES: &str = "\
Example:
  pairbench serve --backend api_server --listen 127.0.0.1:23333 &
  curl http://127.0.0.1:23333/v1/models";

/// Arguments of `report`.
#[derive(Debug, Args)]
#[command(after_help = REPORT_EXAMPLES)]
pub struct ReportArgs {
    /// Folders of raw records; several are set side by side, against the first
    #[arg(value_name = "DIR", required = true)]
    pub folders: Vec<PathBuf>,

    /// Append the rows to this file, too [default: none]
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,

    /// What is held to be a difference.
    #[command(flatten)]
    pub judge: JudgeArgs,

    /// How results are shown.
    #[command(flatten)]
    pub page: PageArgs,
}

const REPORT_EXAMPLES: &str = "\
Examples:
  pairbench report ./pairbench-runs/20261124T031824Z-tis
  Two runs, side by side:
  pairbench report ./pairbench-runs/20261124T031824Z-tis \\
    ./pairbench-runs/20261124T032011Z-api_server";

/// Arguments of `dataset`.
#[derive(Debug, Args)]
#[command(allow_negative_numbers = true)]
#[command(after_help = DATASET_EXAMPLES, override_usage = "\
pairbench dataset [OPTIONS] <TOKENIZER_PATH> [DATASET]")]
pub struct DatasetArgs {
    /// Where the prompts come from.
    #[command(flatten)]
    pub data: DataArgs,

    /// How the server is to answer.
    #[command(flatten)]
    pub ask: AskArgs,

    /// Write the chosen requests to this file, one JSON object a line, which
    /// DATASET takes again; - is standard output [default: none]
    #[arg(long, value_name = "FILE")]
    pub export: Option<PathBuf>,
}

const DATASET_EXAMPLES: &str = "\
Examples:
  What is in it, what the filter drops, what would be asked:
    pairbench dataset ./tokenizer ./sharegpt.json --num-prompts 500
  Agree on a workload: send the file, compare the digest
    pairbench dataset ./tokenizer ./sharegpt.json --export requests.jsonl
    pairbench dataset ./tokenizer requests.jsonl";

/// The table of backends, its text in a column of its own: the help is wrapped
/// at 80 columns, of which flags' texts have 70.
fn backend_help() -> String {
    const NAME_COLUMNS: usize = 14;
    const TEXT_COLUMNS: usize = 56;
    let mut help = String::from("Way to ask the server:");
    for entry in backends::ALL {
        help.push_str(&format!("\n{:<NAME_COLUMNS$}", entry.name));
        let mut column = 0;
        for word in entry.about.split_whitespace() {
            if column > 0 && column + 1 + word.len() > TEXT_COLUMNS {
                help.push_str(&format!("\n{:NAME_COLUMNS$}", ""));
                column = 0;
            } else if column > 0 {
                help.push(' ');
                column += 1;
            }
            help.push_str(word);
            column += word.len();
        }
    }
    help
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn help_fits_80_columns() {
        let mut cli = Cli::command();
        cli.build();
        let mut pages = vec![cli.render_long_help().to_string()];
        // A hidden verb is called by ourselves; nobody reads its help.
        for verb in cli.get_subcommands_mut().filter(|verb| !verb.is_hide_set()) {
            pages.push(verb.render_long_help().to_string());
            pages.push(verb.render_help().to_string());
        }
        for line in pages.iter().flat_map(|page| page.lines()) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
