//! The plugin's `init_config`, and `open_params`.

use std::path::PathBuf;

use falco_plugin::schemars::JsonSchema;
use follow::{FilePattern, Settings, Start};
use serde::Deserialize;

/// What `init_config` of the plugin may hold.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(crate = "falco_plugin::schemars", title = "filetail")]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Config {
    /// Where files that exist at the first start are read from; later starts go on from `stateFile`.
    pub start_at: Start,
    /// Longest line, in bytes; a longer one is skipped and logged.
    pub max_line_size: u64,
    /// File that keeps the positions; without it, every start is the first.
    pub state_file: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self { start_at: Start::End, max_line_size: 16 << 20, state_file: None }
    }
}

impl Config {
    /// What to follow: paths and patterns, separated by commas or line feeds.
    pub(crate) fn settings(&self, open_params: &str) -> anyhow::Result<Settings> {
        let texts = open_params.split([',', '\n']).map(str::trim).filter(|text| !text.is_empty());
        let parse = |text| {
            FilePattern::parse(text)
                .map_err(|error| anyhow::anyhow!("bad file pattern `{text}`: {error}"))
        };
        let patterns = texts.map(parse).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(Settings {
            start: match self.start_at {
                Start::Begin => Start::Begin,
                Start::End => Start::End,
            },
            line_limit: usize::try_from(self.max_line_size).unwrap_or(usize::MAX),
            state_file: self.state_file.clone(),
            ..Settings::new(patterns)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(open_params: &str, expected: &[&str]) {
        let settings = Config::default().settings(open_params).unwrap();
        let texts: Vec<String> = settings
            .patterns
            .iter()
            .map(|pattern| match pattern {
                FilePattern::Path(path) => path.display().to_string(),
                FilePattern::Glob(pattern) => format!("glob {pattern}"),
            })
            .collect();
        assert_eq!(texts, expected);
    }

    #[test]
    fn open_params_are_paths_and_patterns() {
        check("/var/log/a.log", &["/var/log/a.log"]);
        check("/a, /b/*.log\n/c\n", &["/a", "glob /b/*.log", "/c"]);
        check("", &[]);
        let error = Config::default().settings("/a/[").unwrap_err().to_string();
        assert!(error.starts_with("bad file pattern `/a/[`: "), "{error}");
    }
}
