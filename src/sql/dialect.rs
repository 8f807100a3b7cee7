//! The engines' dialects: what they write differently, as data.

/// An engine whose SQL the views are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// DuckDB.
    DuckDb,
    /// ClickHouse: the server, `clickhouse local` and chDB.
    ClickHouse,
    /// Apache Spark.
    Spark,
    /// Trino, with a Hive catalog.
    Trino,
}

/// What a dialect writes in its own way; `{0}` and `{1}` stand for arguments.
pub(super) struct Words {
    /// The engine's name.
    pub(super) engine: &'static str,
    /// How a view is created.
    pub(super) create: &'static str,
    /// What the template's functions are in this dialect.
    pub(super) functions: &'static [(&'static str, &'static str)],
}

impl Dialect {
    /// All of them.
    pub const ALL: [Dialect; 4] = [Dialect::DuckDb, Dialect::ClickHouse, Dialect::Spark, Dialect::Trino];

    /// The name on the command line, and of the file in `sql/`.
    pub fn name(self) -> &'static str {
        match self {
            Dialect::DuckDb => "duckdb",
            Dialect::ClickHouse => "clickhouse",
            Dialect::Spark => "spark",
            Dialect::Trino => "trino",
        }
    }

    pub(super) fn words(self) -> &'static Words {
        match self {
            Dialect::DuckDb => &DUCKDB,
            Dialect::ClickHouse => &CLICKHOUSE,
            Dialect::Spark => &SPARK,
            Dialect::Trino => &TRINO,
        }
    }

    /// A text in quotes.
    pub(super) fn quoted(self, text: &str) -> String {
        let text = match self {
            Dialect::DuckDb | Dialect::Trino => text.replace('\'', "''"),
            Dialect::ClickHouse | Dialect::Spark => text.replace('\\', "\\\\").replace('\'', "\\'"),
        };
        format!("'{text}'")
    }
}

static DUCKDB: Words = Words {
    engine: "DuckDB",
    create: "create or replace view",
    functions: &[
        // Sums are of 128 bits, which pandas takes for floating-point numbers.
        ("sum", "cast(sum({0}) as bigint)"),
        ("int", "cast({0} as bigint)"),
        ("half", "({0}) // 2"),
        ("last", "max_by({0}, {1})"),
        ("text", "cast({0} as varchar)"),
        ("matches", "regexp_matches({0}, {1})"),
        ("without", "regexp_replace({0}, {1}, '')"),
        ("json_text", "json_extract_string({0}, '$.{1}')"),
        ("json_int", "cast(json_extract_string({0}, '$.{1}') as bigint)"),
        (
            "each_frame",
            "select r.host, r.run_id, r.id as stack_id, unnest(r.frames) as symbol_id, generate_subscripts(r.frames, 1) as place\n  \
             from ebrec r\n  where r.kind = 'stack'",
        ),
    ],
};

static CLICKHOUSE: Words = Words {
    engine: "ClickHouse",
    create: "create or replace view",
    functions: &[
        ("sum", "sum({0})"),
        ("int", "{0}"),
        ("half", "intDiv({0}, 2)"),
        ("last", "argMax({0}, {1})"),
        ("text", "toString({0})"),
        ("matches", "match({0}, {1})"),
        ("without", "replaceRegexpOne({0}, {1}, '')"),
        ("json_text", "JSONExtractString(ifNull({0}, ''), '{1}')"),
        ("json_int", "JSONExtractInt(ifNull({0}, ''), '{1}')"),
        (
            "each_frame",
            "select r.host, r.run_id, r.id as stack_id, symbol_id, toInt64(place) as place\n  \
             from ebrec r array join r.frames as symbol_id, arrayEnumerate(r.frames) as place\n  where r.kind = 'stack'",
        ),
    ],
};

static SPARK: Words = Words {
    engine: "Spark",
    create: "create or replace temporary view",
    functions: &[
        ("sum", "sum({0})"),
        ("int", "{0}"),
        ("half", "({0}) div 2"),
        ("last", "max_by({0}, {1})"),
        ("text", "cast({0} as string)"),
        ("matches", "regexp_like({0}, {1})"),
        ("without", "regexp_replace({0}, {1}, '')"),
        ("json_text", "get_json_object({0}, '$.{1}')"),
        ("json_int", "cast(get_json_object({0}, '$.{1}') as bigint)"),
        (
            "each_frame",
            "select r.host, r.run_id, r.id as stack_id, e.symbol_id, e.at + 1 as place\n  \
             from ebrec r lateral view posexplode(r.frames) e as at, symbol_id\n  where r.kind = 'stack'",
        ),
    ],
};

static TRINO: Words = Words {
    engine: "Trino",
    create: "create or replace view",
    functions: &[
        ("sum", "sum({0})"),
        ("int", "{0}"),
        ("half", "({0}) / 2"),
        ("last", "max_by({0}, {1})"),
        ("text", "cast({0} as varchar)"),
        ("matches", "regexp_like({0}, {1})"),
        ("without", "regexp_replace({0}, {1}, '')"),
        ("json_text", "json_extract_scalar({0}, '$.{1}')"),
        ("json_int", "cast(json_extract_scalar({0}, '$.{1}') as bigint)"),
        (
            "each_frame",
            "select r.host, r.run_id, r.id as stack_id, e.symbol_id, e.place\n  \
             from ebrec r cross join unnest(r.frames) with ordinality as e(symbol_id, place)\n  where r.kind = 'stack'",
        ),
    ],
};
