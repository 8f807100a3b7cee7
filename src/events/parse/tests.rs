use super::parse;
use crate::events::spec::At;
use crate::events::spec::CType;
use crate::events::spec::Expr;
use crate::events::spec::Item;
use crate::events::spec::Labelled;
use crate::events::spec::Name;
use crate::events::spec::Node;
use crate::events::spec::OPERATORS;
use crate::events::spec::Sort;
use crate::events::spec::Spec;
use crate::events::spec::Target;
use crate::probe::event::Unary;
use proptest::prelude::Just;
use proptest::prelude::Strategy;
use proptest::prelude::any;
use proptest::prelude::prop_oneof;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::proptest;

/// The text as the tree says it.
fn read(text: &str) -> String {
    parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}")).to_string()
}

/// The byte and the message.
fn wrong(text: &str) -> (usize, String) {
    let error = parse(text).map(|spec| panic!("{text} is read as {spec}")).unwrap_err();
    (error.at, error.message)
}

#[test]
fn every_sort_of_event_is_read() {
    for text in [
        "kprobe:tcp_sendmsg",
        "kprobe:do_sys_openat2(path=str(arg1))",
        "kretprobe:vfs_read(retval)/ retval < 0 /",
        "fentry:tcp_connect(port=sk->__sk_common.skc_dport, by(sk->sk_family))",
        "fexit:vfs_read(stack, ustack, raw)",
        "tracepoint:block:block_rq_issue(sector, nr_sector, hist(bytes))/ rwbs == \"W\" /",
        "rawtp:sched_switch",
        "uprobe:/bin/bash:readline",
        "uretprobe:/bin/bash:readline(str(retval))",
        "uprobe:libc:getaddrinfo(str(arg0))",
        "uprobe:/bin/x:foo::bar*",
        "uprobe:/bin/x:\"foo::bar(char const*)\"(arg0)",
        "uprobe:\"/opt/a:b/x\":f",
        "usdt:/usr/sbin/mysqld:mysql:query__start(str(arg0))",
        "latency:vfs_read/ duration > 1000000 /",
        "latency:/lib/x86_64-linux-gnu/libc.so.6:getaddrinfo",
        "latency:libc:malloc(hist(arg0))",
        "slow-reads.2=latency:vfs_read/ duration > 1000000 /",
        "uprobe:/bin/bash:0x3a40(arg0)",
        "uprobe:/bin/bash:readline+0x10",
        "uprobe:libc:puts(str(arg0, 4096), bytes(arg0, 16), by(str(arg0)))",
        "latency:libc:malloc(trampoline, hist(arg0))",
        "uretprobe:/bin/bash:readline(trampoline)",
    ] {
        assert_eq!(read(text), text);
    }
}

#[test]
fn an_event_can_be_given_a_name() {
    assert_eq!(parse("a=kprobe:f").unwrap().name.as_deref(), Some("a"));
    assert_eq!(parse("kprobe:f/ arg0 == 1 /").unwrap().name, None);
    assert_eq!(parse("kprobe:f(a=arg0)").unwrap().name, None);
    assert_eq!(wrong("=kprobe:f"), (0, "the event's name is missing".to_owned()));
    assert_eq!(wrong("a b=kprobe:f"), (1, "'a b' is not a name".to_owned()));
    assert_eq!(wrong("a=probe:f").0, 2);
}

#[test]
fn parameters_and_blanks_in_a_name_are_said_to_belong_in_quotes() {
    for (text, name) in [
        ("uprobe:./shop:shop::price(char const*)", "shop::price(char const*)"),
        ("uprobe:./shop:shop::price(std::string)", "shop::price(std::string)"),
        ("uprobe:./shop:operator new(unsigned long)", "operator new(unsigned long)"),
    ] {
        let hint = parse(text).unwrap_err().hint.unwrap();
        assert_eq!(hint, format!("a name with blanks or parentheses stands in double quotes: \"{name}\""), "{text}");
    }
    assert!(parse("kprobe:f(arg0").unwrap_err().hint.is_none());
}

#[test]
fn only_returns_of_functions_of_programs_can_be_taken_by_trampoline() {
    for text in
        ["kretprobe:vfs_read(trampoline)", "latency:vfs_read(trampoline)", "uprobe:/bin/bash:readline(trampoline)"]
    {
        let at = text.find("trampoline").unwrap();
        assert_eq!(wrong(text), (at, "'trampoline' applies to returns of programs' functions".to_owned()));
    }
}

#[test]
fn a_text_can_be_given_a_length() {
    for (text, message) in [
        ("uprobe:libc:puts(str(arg0, 4097))", "a text has 1 to 4096 bytes"),
        ("uprobe:libc:puts(bytes(arg0, 0))", "a text has 1 to 4096 bytes"),
        ("uprobe:libc:puts(ip(arg0, 4))", "'ip' takes one value"),
        ("uprobe:libc:puts(str(arg0, arg1))", "a number of bytes belongs here, not 'arg1'"),
    ] {
        assert_eq!(wrong(text), (text.find(", ").unwrap() + 2, message.to_owned()));
    }
}

#[test]
fn white_space_units_and_needless_parentheses_are_read() {
    assert_eq!(read("latency:vfs_read / duration>1ms/ "), "latency:vfs_read/ duration > 1000000 /");
    assert_eq!(read("kprobe:f ( x = (arg0) , (((arg1)+1)) )"), "kprobe:f(x=arg0, arg1 + 1)");
    assert_eq!(read("kprobe:f()"), "kprobe:f");
    assert_eq!(read("calls = kprobe:f"), "calls=kprobe:f");
    assert_eq!(read("kprobe:f/ arg0 / 2 / 3 > 4KiB /"), "kprobe:f/ arg0 / 2 / 3 > 4096 /");
}

#[test]
fn operators_bind_as_in_c() {
    for (text, bare) in [
        ("(arg0 | (arg1 & 7)) == 3", "(arg0 | arg1 & 7) == 3"),
        ("((a + (b * c)) << 1) < d", "a + b * c << 1 < d"),
        ("(a == 1) || ((b == 2) && (!c))", "a == 1 || b == 2 && !c"),
        ("a - (b - c)", "a - (b - c)"),
        ("(a - b) - c", "a - b - c"),
        ("*(u32 *)(arg0 + 8)", "*(u32 *)(arg0 + 8)"),
        ("(*a)->b", "(*a)->b"),
        ("((struct sock *)arg0)->sk_family", "((struct sock *)arg0)->sk_family"),
        ("-1", "-1"),
        ("a - -1", "a - -1"),
    ] {
        assert_eq!(read(&format!("kprobe:f/{text}/")), format!("kprobe:f/ {bare} /"));
    }
}

#[test]
fn a_latency_without_a_file_is_of_the_kernel() {
    let target = |text: &str| parse(text).unwrap().target;
    assert!(matches!(target("latency:vfs_read/ comm == \"a:b\" /"), Target::Kernel(_)));
    assert!(matches!(target("latency:libc:malloc"), Target::File { .. }));
    assert!(matches!(target("latency:./x:main"), Target::File { .. }));
}

#[test]
fn words_alone_are_no_captures_unless_in_parentheses() {
    let items = |text: &str| parse(text).unwrap().items;
    assert_eq!(items("kprobe:f(stack)"), [Item::KernelStack]);
    assert!(matches!(items("kprobe:f(x=stack)").as_slice(), [Item::Capture(_)]));
    assert_eq!(read("kprobe:f((stack))"), "kprobe:f((stack))");
}

#[test]
fn mistakes_name_the_place() {
    for (text, at, message) in [
        ("", 0, "the sort of event is missing"),
        ("kprob:f", 0, "there is no sort of event 'kprob'"),
        ("kprobe", 6, "a colon belongs behind 'kprobe'"),
        ("kprobe:", 7, "the name of a kernel function is missing"),
        ("tracepoint:block", 16, "a colon belongs behind the name of a tracepoint category"),
        ("uprobe:/bin/bash", 16, "a function of the file is missing"),
        ("uprobe:bash:", 12, "the name of a function is missing"),
        ("usdt:/bin/x:p", 13, "a colon belongs behind the name of a provider"),
        ("kprobe:a:b", 8, "expected a /filter/ or the end of the event"),
        ("kprobe:f(", 8, "a parenthesis is not closed"),
        ("kprobe:f(x=)", 11, "a value belongs here, not the end"),
        ("kprobe:f(a b)", 11, "a comma or the closing parenthesis belongs here, not 'b'"),
        ("kprobe:f(a,)", 11, "a value belongs here, not the end"),
        ("kprobe:f(strr(a))", 9, "there is no function 'strr'"),
        ("kprobe:f(1+hist(a))", 11, "'hist(…)' is an item of its own, no value"),
        ("kprobe:f(a->)", 12, "the name of a member belongs here, not the end"),
        ("kprobe:f/a", 8, "the filter has no closing slash"),
        ("kprobe:f/", 8, "the filter has no closing slash"),
        ("kprobe:f/a/(b)", 8, "the filter comes before the captures: move it behind them"),
        ("kprobe:f/a = 1/", 11, "'=' compares nothing: write '=='"),
        ("kprobe:f/a > 5m/", 13, "'5m' is minutes or mebibytes: write 'min' or 'MiB'"),
        ("kprobe:f/a ? b/", 11, "'?' means nothing here"),
        ("kprobe:f/a b/", 11, "the filter should end before 'b'"),
        ("kprobe:f/\"a/", 9, "a quote is not closed"),
    ] {
        assert_eq!(wrong(text), (at, message.to_owned()), "{text}");
    }
}

#[test]
fn a_mistake_is_told_by_characters() {
    let text = "uprobe:/bin/ä:f(x=§)";
    let failure = parse(text).unwrap_err().failure(text);
    assert_eq!(failure.message, "'§' means nothing here, at character 19 of '-e uprobe:/bin/ä:f(x=§)'");
}

#[test]
fn nesting_has_an_end() {
    assert_eq!(wrong(&format!("kprobe:f({}a{})", "(".repeat(1000), ")".repeat(1000))).1, "this nests too deep");
    assert_eq!(wrong(&format!("kprobe:f({}a)", "-".repeat(1000))).1, "this nests too deep");
    assert_eq!(wrong(&format!("kprobe:f(a{})", "->b".repeat(1000))).1, "this nests too deep");
    assert_eq!(wrong(&format!("kprobe:f(a{})", "+a".repeat(1000))).1, "too many operators");
    assert!(wrong(&format!("kprobe:f({})", "a,".repeat(5000))).1.contains("4096 bytes"));
}

fn word() -> impl Strategy<Value = String> {
    "[a-z_][a-z0-9_]{0,5}".prop_filter("a type", |word| super::INTEGERS.iter().all(|known| known.0 != word))
}

fn name() -> impl Strategy<Value = Name> {
    prop_oneof!["[a-z*?_:.]{1,8}", "[ -~ä]{1,8}"].prop_map(|text| Name { at: At(0), text })
}

fn file() -> impl Strategy<Value = Name> {
    prop_oneof!["/[a-z/. ()]{1,8}", "[a-z]{1,5}", "[ -~]{1,8}"].prop_map(|text| Name { at: At(0), text })
}

fn target() -> impl Strategy<Value = (Sort, Target)> {
    let kernel = prop_oneof![Just(Sort::Kprobe), Just(Sort::Rawtp), Just(Sort::Latency)];
    prop_oneof![
        // A path is not a name: 'latency:/x' and 'latency:.x' are of files.
        (kernel, name().prop_filter("a path", |name| !name.text.starts_with(['/', '.'])))
            .prop_map(|(sort, name)| (sort, Target::Kernel(name))),
        (name(), name()).prop_map(|(category, name)| (Sort::Tracepoint, Target::Point { category, name })),
        (prop_oneof![Just(Sort::Uprobe), Just(Sort::Latency)], file(), name())
            .prop_map(|(sort, file, function)| (sort, Target::File { file, function })),
        (file(), name(), name())
            .prop_map(|(file, provider, name)| (Sort::Usdt, Target::Static { file, provider, name })),
    ]
}

fn expression() -> impl Strategy<Value = Expr> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Node::Number),
        "[ -~ä]{0,6}".prop_map(Node::Text),
        word().prop_map(Node::Name),
    ];
    let place = |node| Expr { at: At(0), node };
    let types = prop_oneof![Just("u32".to_owned()), Just("unsigned long".to_owned()), Just("struct sock".to_owned())];
    leaf.prop_map(place).prop_recursive(4, 24, 2, move |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        let sign = prop_oneof![Just(Unary::Not), Just(Unary::Negate), Just(Unary::Invert)];
        prop_oneof![
            (boxed.clone(), word(), any::<bool>()).prop_map(|(of, name, arrow)| Node::Member { of, name, arrow }),
            (boxed.clone(), boxed.clone()).prop_map(|(of, index)| Node::Index { of, index }),
            (boxed.clone(), proptest::option::of(1u16..4097)).prop_map(|(of, length)| Node::Call {
                name: "str".to_owned(),
                of,
                length
            }),
            (types.clone(), 0..3u8, boxed.clone())
                .prop_map(|(base, stars, of)| Node::Cast { to: CType { base, stars }, of }),
            boxed.clone().prop_map(Node::Deref),
            (sign, boxed.clone()).prop_map(|(sign, of)| match (sign, &of.node) {
                // The parser makes a negative number of these.
                (Unary::Negate, Node::Number(_)) => Node::Unary(Unary::Not, of),
                _ => Node::Unary(sign, of),
            }),
            (0..OPERATORS.len(), boxed.clone(), boxed).prop_map(|(at, a, b)| Node::Binary(OPERATORS[at].0, a, b)),
        ]
        .prop_map(place)
    })
}

fn item() -> impl Strategy<Value = Item> {
    let labelled =
        || (proptest::option::of(word()), expression()).prop_map(|(label, value)| Labelled { at: At(0), label, value });
    prop_oneof![
        labelled().prop_map(Item::Capture),
        labelled().prop_map(Item::Hist),
        labelled().prop_map(Item::By),
        Just(Item::KernelStack),
        Just(Item::UserStack),
        Just(Item::Raw),
    ]
}

proptest! {
    #[test]
    fn what_is_shown_reads_as_the_same_tree(
        name in proptest::option::of("[a-z][a-z0-9_.-]{0,8}"),
        (sort, target) in target(),
        items in proptest::collection::vec(item(), 0..4),
        filter in proptest::option::of(expression()),
    ) {
        let spec = Spec { name, sort, target, items, filter };
        let text = spec.to_string();
        prop_assert_eq!(parse(&text).map_err(|error| format!("{text}: {error:?}")), Ok(spec));
    }

    #[test]
    fn no_text_panics_and_mistakes_are_inside_it(text in ".{0,80}") {
        if let Err(error) = parse(&text) {
            prop_assert!(error.at <= text.len() && text.is_char_boundary(error.at));
        }
    }

    #[test]
    fn no_likely_text_panics_and_mistakes_are_inside_it(
        text in "(kprobe|uprobe|usdt|latency|tracepoint):([a-z/.:*\"()ä]|arg0|str|hist|->|[0-9]|[=<>!&|+ /*-]){0,30}"
    ) {
        match parse(&text) {
            Err(error) => prop_assert!(error.at <= text.len() && text.is_char_boundary(error.at)),
            Ok(spec) => prop_assert_eq!(parse(&spec.to_string()), Ok(spec)),
        }
    }
}
