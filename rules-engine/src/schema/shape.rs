//! What a rules file looks like, according to the schema of engine 0.63 (`falco --rule-schema`).

/// What a node must be. Types are weak: any scalar is a text.
pub(super) enum Shape {
    Any,
    Text,
    Bool,
    Integer,
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// An integer or a text.
    Scalar,
    Array(&'static Shape),
    Object {
        /// By name, in the order in which the validator visits them.
        properties: &'static [(&'static str, Shape)],
        required: &'static [&'static str],
        min_properties: usize,
    },
}

pub(super) static RULES: Shape = Shape::Array(&ITEM);

/// One flat type for items of every kind.
static ITEM: Shape = Shape::Object {
    properties: &[
        ("append", Shape::Bool),
        ("capture", Shape::Bool),
        ("capture_duration", Shape::Integer),
        ("condition", Shape::Text),
        ("desc", Shape::Text),
        ("enabled", Shape::Bool),
        ("exceptions", Shape::Array(&EXCEPTION)),
        ("items", Shape::Array(&Shape::Scalar)),
        ("list", Shape::Text),
        ("macro", Shape::Text),
        ("output", Shape::Text),
        ("override", OVERRIDE),
        ("priority", PRIORITY),
        ("required_engine_version", Shape::Text),
        ("required_plugin_versions", Shape::Array(&PLUGIN_VERSION)),
        ("rule", Shape::Text),
        ("skip-if-unknown-filter", Shape::Bool),
        ("source", Shape::Text),
        ("tags", Shape::Array(&Shape::Text)),
        ("warn_evttypes", Shape::Bool),
    ],
    required: &[],
    min_properties: 0,
};

static EXCEPTION: Shape = Shape::Object {
    properties: &[
        ("comps", Shape::Any),
        ("fields", Shape::Any),
        ("name", Shape::Text),
        ("values", Shape::Any),
    ],
    required: &["name"],
    min_properties: 0,
};

const OPERATION: Shape = Shape::OneOf(&["append", "replace"]);

const OVERRIDE: Shape = Shape::Object {
    properties: &[
        ("capture", OPERATION),
        ("capture_duration", OPERATION),
        ("condition", OPERATION),
        ("desc", OPERATION),
        ("enabled", OPERATION),
        ("exceptions", OPERATION),
        ("items", OPERATION),
        ("output", OPERATION),
        ("priority", OPERATION),
        ("skip-if-unknown-filter", OPERATION),
        ("tags", OPERATION),
        ("warn_evttypes", OPERATION),
    ],
    required: &[],
    min_properties: 1,
};

const PRIORITY: Shape = Shape::OneOf(&[
    "EMERGENCY",
    "ALERT",
    "CRITICAL",
    "ERROR",
    "WARNING",
    "NOTICE",
    "INFO",
    "INFORMATIONAL",
    "DEBUG",
]);

static PLUGIN_VERSION: Shape = Shape::Object {
    properties: &[
        ("alternatives", Shape::Array(&ALTERNATIVE)),
        ("name", Shape::Text),
        ("version", Shape::Text),
    ],
    required: &["name", "version"],
    min_properties: 0,
};

static ALTERNATIVE: Shape = Shape::Object {
    properties: &[("name", Shape::Text), ("version", Shape::Text)],
    required: &["name", "version"],
    min_properties: 0,
};
