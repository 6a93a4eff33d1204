//! The arguments of the command line, named as Falco names them.

mod command;

use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, CommandFactory, FromArgMatches, Parser};

pub(crate) use command::{
    Command, ConfigCommand, CoverageFormat, ExplainArguments, FmtArguments, LintArguments,
    LintFormat, ReplayArguments, TestArguments,
};

const EXAMPLES: &str = r#"Examples:
  shikra -c config/shikra.yaml                         run
  shikra -c config/shikra.yaml -o json_output=true     run with one setting changed
  shikra -c config/shikra.yaml -V my_rules.yaml        check a rules file
  shikra -c config/shikra.yaml --list=k8s_audit        show the fields for conditions and outputs
  shikra config check -c config/shikra.yaml            check a configuration and all that it names

A KEY may lead into lists and maps, and a VALUE may be one:
  -o plugins[0].open_params=/var/log/audit.log   -o 'rules[]={"disable": {"tag": "network"}}'"#;

/// What the user asked for.
#[derive(Clone, Debug, Parser)]
#[command(
    name = "shikra",
    about = "Watches event streams and raises alerts by Falco rules.",
    override_usage = "shikra [OPTION...]\n       shikra COMMAND [OPTION...]",
    after_help = EXAMPLES,
    args_override_self = true,
    disable_help_flag = true,
    disable_help_subcommand = true,
    disable_version_flag = true,
    max_term_width = 140,
    next_line_help = false
)]
pub(crate) struct Cli {
    /// What is done instead of a run.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// Configuration file, /etc/falco/falco.yaml if not given.
    #[arg(short = 'c', value_name = "PATH", global = true, help_heading = "Run")]
    pub(crate) config: Option<PathBuf>,

    /// Sets one configuration key over what files say. Repeatable.
    #[arg(
        short = 'o',
        long = "option",
        value_name = "KEY=VALUE",
        allow_hyphen_values = true,
        global = true,
        help_heading = "Run"
    )]
    pub(crate) options: Vec<String>,

    /// Rules file or directory, instead of the `rules_files` of the configuration. Repeatable.
    #[arg(short = 'r', value_name = "PATH", global = true, help_heading = "Run")]
    pub(crate) rules: Vec<PathBuf>,

    /// Runs this event source and no other that is not named too. Repeatable.
    #[arg(long, value_name = "SOURCE", help_heading = "Run")]
    pub(crate) enable_source: Vec<String>,

    /// Runs all event sources but this one. Repeatable.
    #[arg(long, value_name = "SOURCE", help_heading = "Run")]
    pub(crate) disable_source: Vec<String>,

    /// Stops after this many seconds.
    #[arg(short = 'M', value_name = "SECONDS", value_parser = seconds, help_heading = "Run")]
    pub(crate) duration: Option<Duration>,

    /// Loads configuration, plugins and rules, and stops before any event source is opened.
    #[arg(long, help_heading = "Run")]
    pub(crate) dry_run: bool,

    /// Writes the process id to this file.
    #[arg(short = 'P', long = "pidfile", value_name = "PATH", help_heading = "Run")]
    pub(crate) pid_file: Option<PathBuf>,

    /// Writes every alert at once, whatever `buffered_outputs` says.
    #[arg(short = 'U', long, help_heading = "Run")]
    pub(crate) unbuffered: bool,

    /// Appends this text to the output of every rule. Deprecated: use `append_output`.
    #[arg(
        short = 'p',
        long,
        value_name = "FORMAT",
        allow_hyphen_values = true,
        help_heading = "Run"
    )]
    pub(crate) print: Option<String>,

    /// At the end: shows how many events each source gave, and how fast. With --list: shows the fields' types.
    #[arg(short = 'v', help_heading = "Run")]
    pub(crate) verbose: bool,

    /// Checks a rules file and says what is wrong with it. Repeatable.
    #[arg(short = 'V', long = "validate", value_name = "PATH", help_heading = "Check and show")]
    pub(crate) validate: Vec<PathBuf>,

    /// Shows all loaded rules.
    #[arg(short = 'L', help_heading = "Check and show")]
    pub(crate) list_rules: bool,

    /// Shows one loaded rule.
    #[arg(short = 'l', value_name = "RULE", help_heading = "Check and show")]
    pub(crate) show_rule: Option<String>,

    /// Shows the fields for conditions and outputs, of one event source or of all.
    #[arg(long, value_name = "SOURCE", num_args = 0..=1, help_heading = "Check and show")]
    list: Option<Option<String>>,

    /// With --list: names only.
    #[arg(short = 'N', help_heading = "Check and show")]
    pub(crate) names_only: bool,

    /// With --list and --list-events: text, markdown or json.
    #[arg(long, value_name = "FORMAT", value_parser = list_format, help_heading = "Check and show")]
    format: Option<ListFormat>,

    /// With --list: deprecated, use `--format markdown`.
    #[arg(long, help_heading = "Check and show")]
    pub(crate) markdown: bool,

    /// Shows the plugins that the configuration loads.
    #[arg(long, help_heading = "Check and show")]
    pub(crate) list_plugins: bool,

    /// Shows one plugin, with the schema of its configuration and suggestions for `open_params`.
    #[arg(long, value_name = "NAME", help_heading = "Check and show")]
    pub(crate) plugin_info: Option<String>,

    /// Shows the system calls that are ignored: there are none.
    #[arg(short = 'i', help_heading = "Check and show")]
    pub(crate) ignored_syscalls: bool,

    /// Shows the JSON schema of the configuration.
    #[arg(long, help_heading = "Check and show")]
    pub(crate) config_schema: bool,

    /// Shows the JSON schema of rules files.
    #[arg(long, help_heading = "Check and show")]
    pub(crate) rule_schema: bool,

    /// Shows the events that conditions may name: those of plugins.
    #[arg(long, help_heading = "Check and show")]
    pub(crate) list_events: bool,

    /// Shows versions, configuration and rules in one JSON line, for reports of problems. Secrets are left out.
    #[arg(long, help_heading = "Check and show")]
    pub(crate) support: bool,

    /// Shows the page size of the system.
    #[arg(long, help_heading = "Check and show")]
    pub(crate) page_size: bool,

    /// Shows the version.
    #[arg(long, help_heading = "Check and show")]
    pub(crate) version: bool,

    /// Shows this help.
    #[arg(short = 'h', long, help_heading = "Check and show")]
    pub(crate) help: bool,
}

/// How a list of fields is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ListFormat {
    #[default]
    Text,
    Markdown,
    Json,
}

/// Why the arguments cannot be followed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UsageError {
    #[error("Could not find configuration file at {}", path.display())]
    NoConfiguration { path: PathBuf, source: std::io::Error },
    #[error("Cannot specify both --markdown and --format options together")]
    TwoFormats,
    #[error("option '{flag}' was removed from Falco: {replacement}")]
    Removed { flag: String, replacement: &'static str },
    #[error("{0}")]
    Malformed(String),
    /// No mistake: the help of a command was asked for, and this is it.
    #[error("{0}")]
    Help(String),
}

impl Cli {
    /// Reads the arguments; the first is the name of the program.
    ///
    /// As in stock, a configuration file that cannot be opened is an error even beside `--help`.
    pub(crate) fn parse_arguments(
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Cli, UsageError> {
        let matches = Cli::command().mut_subcommands(with_help).try_get_matches_from(arguments);
        let cli = matches.and_then(|matches| Cli::from_arg_matches(&matches));
        let cli = cli.map_err(|error| usage_error(&error))?;
        if cli.markdown && cli.format.is_some() {
            return Err(UsageError::TwoFormats);
        }
        if let Some(path) = &cli.config {
            File::open(path)
                .map_err(|source| UsageError::NoConfiguration { path: path.clone(), source })?;
        }
        Ok(cli)
    }

    /// The text of `--help`.
    pub(crate) fn help_text() -> String {
        Cli::command().render_help().to_string()
    }

    /// Whether fields are to be listed, and if so, those of which event source only.
    pub(crate) fn list(&self) -> Option<Option<&str>> {
        self.list.as_ref().map(Option::as_deref)
    }

    /// Whether rules are not checked or shown, but run.
    pub(crate) fn is_run(&self) -> bool {
        let shows =
            self.support || self.list_rules || self.show_rule.is_some() || self.list.is_some();
        self.validate.is_empty() && !shows
    }

    pub(crate) fn list_format(&self) -> ListFormat {
        match self.format {
            None if self.markdown => ListFormat::Markdown,
            format => format.unwrap_or_default(),
        }
    }
}

/// Gives a command the `--help` that the main one has of its own.
fn with_help(command: clap::Command) -> clap::Command {
    let help = Arg::new("show_help").short('h').long("help").action(ArgAction::Help);
    command.arg(help.help("Shows this help")).mut_subcommands(with_help)
}

fn seconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_secs)
}

fn list_format(text: &str) -> Result<ListFormat, String> {
    match text.to_ascii_lowercase().as_str() {
        "text" => Ok(ListFormat::Text),
        "markdown" => Ok(ListFormat::Markdown),
        "json" => Ok(ListFormat::Json),
        _ => Err(format!("Invalid format '{text}'. Valid values are: text, markdown, json")),
    }
}

/// Says what to use instead where the flag is one that Falco had once.
fn usage_error(error: &clap::Error) -> UsageError {
    if error.kind() == ErrorKind::DisplayHelp {
        return UsageError::Help(error.render().to_string());
    }
    if let Some(ContextValue::String(flag)) = error.get(ContextKind::InvalidArg)
        && let Some(replacement) = replacement(flag)
    {
        return UsageError::Removed { flag: flag.clone(), replacement };
    }
    let message = error.render().to_string();
    let message = message.strip_prefix("error: ").unwrap_or(&message);
    UsageError::Malformed(message.trim_end().to_string())
}

fn replacement(flag: &str) -> Option<&'static str> {
    const NO_DRIVER: &str = "it belongs to kernel drivers, which this build has not";
    Some(match flag {
        "-D" => "use -o 'rules[].disable.rule=*TEXT*'",
        "-T" => "use -o rules[].disable.tag=TAG",
        "-t" => "use -o 'rules[].disable.rule=*' -o rules[].enable.tag=TAG",
        "-d" | "--daemon" => "leave it to the service manager",
        "-e" => {
            "replaying capture files is not supported; give a file of events to a plugin by \
                 -o 'plugins[0].open_params=FILE'"
        }
        "-s" | "--stats-interval" | "-S" | "--snaplen" => "use the settings under `metrics`",
        "-k" | "--k8s-api" | "-K" | "--k8s-api-cert" | "--k8s-node" | "-m" | "--mesos-api" => {
            "fetching metadata of containers is not supported; events of k8s_audit carry their own"
        }
        "--list-syscall-events" => "use --list-events",
        "-b" | "--print-base64" => "use -o buffer_format_base64=true",
        "-A"
        | "-E"
        | "-g"
        | "-u"
        | "--userspace"
        | "--modern-bpf"
        | "--nodriver"
        | "--cri"
        | "--disable-cri-async"
        | "--gvisor-config"
        | "--gvisor-generate-config"
        | "--gvisor-root" => NO_DRIVER,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &str) -> Result<Cli, UsageError> {
        let arguments = arguments.split_whitespace().map(OsString::from);
        Cli::parse_arguments(std::iter::once("shikra".into()).chain(arguments))
    }

    #[track_caller]
    fn check_error(arguments: &str, expected: &str) {
        let error = parse(arguments).expect_err("the arguments are wrong").to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn values_may_follow_after_a_space_or_an_equals_sign() {
        for arguments in ["--list k8s_audit", "--list=k8s_audit"] {
            assert_eq!(parse(arguments).unwrap().list(), Some(Some("k8s_audit")), "{arguments}");
        }
        assert_eq!(parse("--list -N").unwrap().list(), Some(None));
        assert_eq!(parse("--plugin-info=json").unwrap().plugin_info.as_deref(), Some("json"));
        assert_eq!(parse("-o a=1 --option b=2 -oc=3").unwrap().options, ["a=1", "b=2", "c=3"]);
    }

    #[test]
    fn of_two_single_values_the_last_counts() {
        let cli = parse("-l a -M 1 -l b -M 2").unwrap();
        assert_eq!(cli.show_rule.as_deref(), Some("b"));
        assert_eq!(cli.duration, Some(Duration::from_secs(2)));
    }

    #[test]
    fn formats_are_checked() {
        assert_eq!(parse("--list --format JSON").unwrap().list_format(), ListFormat::Json);
        assert_eq!(parse("--list --markdown").unwrap().list_format(), ListFormat::Markdown);
        assert_eq!(parse("--list").unwrap().list_format(), ListFormat::Text);
        check_error("--format xml", "Invalid format 'xml'. Valid values are: text, markdown, json");
        check_error(
            "--format json --markdown",
            "Cannot specify both --markdown and --format options together",
        );
    }

    #[test]
    fn wrong_arguments_are_explained() {
        check_error("-c /nope.yaml --help", "Could not find configuration file at /nope.yaml");
        check_error("-M soon", "-M");
        check_error("--nonsense", "--nonsense");
        check_error("stray", "stray");
    }

    #[test]
    fn commands_take_the_flags_that_choose_files_before_or_after_them() {
        for arguments in ["config check -o a=1 -r x", "-o a=1 -r x config check"] {
            let cli = parse(arguments).unwrap();
            assert!(matches!(cli.command, Some(Command::Config(ConfigCommand::Check))));
            assert_eq!((cli.options, cli.rules), (vec!["a=1".to_owned()], vec!["x".into()]));
        }
        for command in ["config check", "test", "replay"] {
            let error = parse(&format!("{command} --help")).unwrap_err();
            assert!(matches!(&error, UsageError::Help(text) if text.contains("Shows this help")));
        }
        check_error("config", "Usage: shikra config");
        assert!(parse("-L").unwrap().command.is_none());
    }

    #[test]
    fn removed_flags_name_their_replacement() {
        check_error("-t k8s", "rules[].enable.tag=TAG");
        check_error("-T k8s", "rules[].disable.tag=TAG");
        check_error("-D secret", "rules[].disable.rule=*TEXT*");
        check_error("--modern-bpf", "kernel drivers");
        check_error("-A", "option '-A' was removed");
    }

    /// C40
    #[test]
    fn the_help_lists_every_flag() {
        let help = Cli::help_text();
        assert!(help.contains("Usage: shikra [OPTION...]"), "{help}");
        for flag in [
            "-c <PATH>",
            "-h, --help",
            "--disable-source",
            "--enable-source",
            "--dry-run",
            "-i ",
            "-L ",
            "-l <RULE>",
            "--list [<SOURCE>]",
            "--list-plugins",
            "-M <SECONDS>",
            "--markdown",
            "-N ",
            "-o, --option",
            "--plugin-info",
            "-p, --print",
            "-P, --pidfile",
            "-r <PATH>",
            "-U, --unbuffered",
            "-V, --validate",
            "-v ",
            "--version",
            "--page-size",
            "--format",
            "--config-schema",
            "--rule-schema",
            "--list-events",
            "--support",
        ] {
            assert!(help.contains(flag), "{flag} in {help}");
        }
    }
}
