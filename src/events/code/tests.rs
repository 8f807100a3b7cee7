use super::Arguments;
use super::Content;
use super::Field;
use super::Names;
use crate::bpf::skip::skip;
use crate::events::SpecError;
use crate::events::parse;
use crate::events::spec::Expr;
use crate::events::types::Parameter;
use crate::events::types::Shape;
use crate::events::types::Types;
use crate::probe::event::Binary;
use crate::probe::event::Space;
use crate::probe::event::Step;
use crate::probe::event::TEXT_LIMIT;
use crate::probe::event::TextKind;
use crate::probe::event::Unary;
use crate::probe::event::Value;
use crate::probe::event::Who;
use proptest::prelude::Strategy;
use proptest::prop_assert;
use proptest::proptest;

const INT: Shape = Shape::Int { size: 4, signed: true, big_endian: false };

fn parameter(name: &str, shape: Shape) -> Parameter {
    Parameter { name: name.to_owned(), shape, type_name: String::new() }
}

fn field(name: &str, offset: u32, content: Content) -> Field {
    Field { name: name.to_owned(), type_name: "char".to_owned(), offset, content }
}

/// A function of an int and a pointer to bytes, that returns an int.
fn names(types: Option<&Types>) -> Names<'_> {
    let bytes = Shape::Pointer(Box::new(Shape::Int { size: 1, signed: true, big_endian: false }));
    let port = Shape::Int { size: 2, signed: false, big_endian: true };
    Names {
        types,
        space: Space::ByAddress,
        arguments: Arguments {
            known: vec![parameter("count", INT), parameter("buf", bytes), parameter("port", port)],
            count: 3,
            limit: "'f' has 3 arguments, arg0 to arg2".to_owned(),
            unreadable: Vec::new(),
            are_sized: false,
        },
        fields: vec![
            field("sector", 16, Content::Here(Shape::Int { size: 8, signed: false, big_endian: false })),
            field("cmd", 60, Content::Elsewhere),
            field("rest", 64, Content::Behind),
        ],
        returned: Ok(Some(INT)),
        duration: true,
    }
}

/// Of a program, whose types nobody tells.
fn names_without_types() -> Names<'static> {
    let mut names = names(None);
    names.arguments.known.clear();
    names.returned = Ok(None);
    names
}

fn expression(text: &str) -> Expr {
    parse(&format!("kprobe:f/{text}/")).unwrap().filter.unwrap()
}

fn number(text: &str) -> Result<Vec<Step>, SpecError> {
    names(None).number(&expression(text))
}

fn value(text: &str) -> Value {
    names(None).value(&expression(text)).unwrap()
}

/// The byte and the message, `kprobe:f/` taken off.
fn wrong(text: &str) -> (usize, String) {
    let error = names(None).value(&expression(text)).map(|value| panic!("{text}: {value:?}")).unwrap_err();
    (error.at - "kprobe:f/".len(), error.message)
}

fn load(offset: i32, size: u8, signed: bool, space: Space) -> Step {
    Step::Load { offset, size, signed, big_endian: false, space }
}

const NARROW: Step = Step::Bits { shift: 0, width: 32, signed: true };

#[test]
fn arguments_and_what_is_returned_are_narrowed_to_their_types() {
    assert_eq!(number("arg0").unwrap(), [Step::Argument(0), NARROW]);
    assert_eq!(number("count").unwrap(), number("arg0").unwrap());
    assert_eq!(number("args.count").unwrap(), number("arg0").unwrap());
    assert_eq!(number("arg1").unwrap(), [Step::Argument(1)]);
    assert_eq!(number("retval").unwrap(), [Step::Returned, NARROW]);
    let port = [Step::Argument(2), Step::Bits { shift: 0, width: 16, signed: false }, Step::Unary(Unary::Swap16)];
    assert_eq!(number("port").unwrap(), port);
}

#[test]
fn comparisons_are_of_numbers_with_units() {
    let steps = [Step::Duration, Step::Number(1_000_000), Step::Binary(Binary::Greater)];
    assert_eq!(number("duration > 1ms").unwrap(), steps);
    let steps = [Step::Who(Who::Pid), Step::Number(7), Step::Binary(Binary::Equal)];
    assert_eq!(number("pid == 3 + 4").unwrap(), steps);
    assert_eq!(number("!pid").unwrap(), [Step::Who(Who::Pid), Step::Unary(Unary::Not)]);
}

#[test]
fn fields_lie_in_the_record() {
    let sector = load(16, 8, false, Space::Kernel);
    assert_eq!(number("sector").unwrap(), [Step::Record, sector]);
    let word = |offset| {
        [Step::Record, load(offset, 4, false, Space::Kernel), Step::Bits { shift: 0, width: 16, signed: false }]
    };
    let add = |steps: &[Step]| [steps, &[Step::Record, Step::Binary(Binary::Add)]].concat();
    let kind = TextKind::String { space: Space::Kernel, limit: TEXT_LIMIT };
    assert_eq!(value("cmd"), Value::Text { address: add(&word(60)), kind });
    assert_eq!(value("str(cmd)"), value("cmd"));
    let behind = [&add(&word(64))[..], &[Step::Number(68), Step::Binary(Binary::Add)]].concat();
    assert_eq!(value("rest"), Value::Text { address: behind, kind });
}

#[test]
fn texts_are_at_addresses_and_can_be_compared() {
    let address = vec![Step::Argument(1)];
    assert_eq!(
        value("str(buf)"),
        Value::Text { address, kind: TextKind::String { space: Space::ByAddress, limit: TEXT_LIMIT } }
    );
    let steps = number("str(buf) != \"/etc\"").unwrap();
    let Some(Step::TextIs { space: Space::ByAddress, wanted }) = steps.get(1) else { panic!("{steps:?}") };
    assert!(wanted == b"/etc" && steps.last() == Some(&Step::Unary(Unary::Not)));
    let mut comm = [0; 16];
    comm[..5].copy_from_slice(b"nginx");
    assert_eq!(number("\"nginx\" == comm").unwrap(), [Step::CommIs(comm)]);
}

#[test]
fn a_negative_number_in_a_register_of_no_known_type_needs_one() {
    for text in ["arg1 < 0", "arg1 == -5", "-5 != arg1", "0 > arg1", "retval >= 0"] {
        let Err(error) = names_without_types().filter(&expression(text)) else { panic!("{text}") };
        assert!(error.message.ends_with("a negative int fills only half"), "{text}: {error:?}");
        assert!(error.hint.unwrap().starts_with("write '(int)"), "{text}");
    }
    for text in ["(int)arg1 < 0", "(long)arg1 == -5", "arg1 > 0", "0 < arg1", "arg1 == 0", "arg1 + 1 < 0"] {
        assert!(names_without_types().filter(&expression(text)).is_ok(), "{text}");
    }
}

#[test]
fn what_has_no_type_is_read_by_a_cast() {
    let add = [Step::Argument(1), Step::Number(8), Step::Binary(Binary::Add)];
    let expected = [&add[..], &[load(0, 4, false, Space::ByAddress)]].concat();
    assert_eq!(number("*(u32 *)(arg1 + 8)").unwrap(), expected);
    assert_eq!(number("((u32 *)arg1)[2]").unwrap(), [Step::Argument(1), load(8, 4, false, Space::ByAddress)]);
    assert_eq!(number("buf[1]").unwrap(), [Step::Argument(1), load(1, 1, true, Space::ByAddress)]);
    assert_eq!(
        number("**(u64 **)arg1").unwrap(),
        [Step::Argument(1), load(0, 8, false, Space::ByAddress), load(0, 8, false, Space::ByAddress)]
    );
    assert_eq!(number("(u8)arg1").unwrap(), [Step::Argument(1), Step::Bits { shift: 0, width: 8, signed: false }]);
    let steps = number("((u32 *)arg1)[count]").unwrap();
    assert_eq!(
        steps.get(3..),
        Some(
            &[
                Step::Number(4),
                Step::Binary(Binary::Multiply),
                Step::Binary(Binary::Add),
                load(0, 4, false, Space::ByAddress)
            ][..]
        )
    );
    assert_eq!(number("ntohs((u16)arg1)").unwrap().last(), Some(&Step::Unary(Unary::Swap16)));
}

#[test]
fn addresses_of_the_network_are_told_by_size_or_by_name() {
    let address = vec![Step::Argument(1)];
    assert_eq!(value("ipv4(arg1)"), Value::Text { address: address.clone(), kind: TextKind::Ipv4(Space::ByAddress) });
    assert_eq!(value("ip((u32 *)arg1)"), value("ipv4(arg1)"));
    assert_eq!(value("ip(*(u32 *)arg1)"), value("ipv4(arg1)"));
    assert_eq!(value("ipv6(arg1)"), Value::Text { address: address.clone(), kind: TextKind::Ipv6(Space::ByAddress) });
    assert_eq!(value("sockaddr(arg1)"), Value::Text { address, kind: TextKind::SocketAddress(Space::ByAddress) });
}

#[test]
fn structs_are_walked_by_the_types_of_the_kernel() {
    let Ok(types) = Types::read(None) else {
        return skip("structs_are_walked_by_the_types_of_the_kernel", "this kernel has no BTF");
    };
    let mut names = names(Some(&types));
    names.arguments.known = types.function("tcp_connect").unwrap().parameters;
    let steps = |text: &str| names.number(&expression(text));
    let port = Step::Load { offset: 12, size: 2, signed: false, big_endian: true, space: Space::ByAddress };
    assert_eq!(steps("sk->__sk_common.skc_dport").unwrap(), [Step::Argument(0), port.clone()]);
    assert_eq!(steps("((struct sock *)arg1)->__sk_common.skc_dport").unwrap(), [Step::Argument(1), port]);
    // Through a pointer in a struct.
    let through = steps("sk->__sk_common.skc_net.net->ifindex").unwrap();
    assert!(matches!(through.as_slice(), [Step::Argument(0), Step::Load { size: 8, .. }, Step::Load { size: 4, .. }]));
    let bits = steps("((struct task_struct *)arg0)->in_execve").unwrap();
    assert!(matches!(bits.last(), Some(Step::Bits { width: 1, signed: false, .. })), "{bits:?}");
    assert_eq!(steps("TCP_LISTEN").unwrap(), [Step::Number(10)]);
    let text = |text: &str| names.value(&expression(text)).unwrap();
    assert!(matches!(text("sk->__sk_common.skc_v6_daddr"), Value::Text { kind: TextKind::Ipv6(_), .. }));
    assert!(matches!(text("ip(sk->__sk_common.skc_daddr)"), Value::Text { kind: TextKind::Ipv4(_), .. }));
    assert!(matches!(text("((struct task_struct *)arg0)->comm"), Value::Text { kind: TextKind::String { .. }, .. }));
    let wrong = |text: &str| steps(text).unwrap_err();
    assert_eq!(wrong("sk->__sk_common.skc_dpor").message, "struct sock_common has no member 'skc_dpor'");
    assert!(wrong("sk->__sk_common.skc_dpor").hint.unwrap().contains("'skc_dport'"));
    assert_eq!(wrong("sk->__sk_common.skc_dpor").at, "kprobe:f/sk->__sk_common.".len());
    assert_eq!(wrong("sk->__sk_common").message, "'sk->__sk_common' is a struct sock_common, not a number");
    assert_eq!(wrong("sk.__sk_common").message, "'sk' is a pointer: write 'sk->__sk_common'");
    assert_eq!(wrong("sk->__sk_common->x").message, "'sk->__sk_common' is not a pointer: write 'sk->__sk_common.x'");
    assert_eq!(wrong("(struct sok *)sk").message, "the kernel has no 'struct sok'");
    assert!(wrong("(struct sok *)sk").hint.unwrap().contains("'sock'"));
}

#[test]
fn mistakes_name_the_place() {
    for (text, at, message) in [
        ("cuont", 0, "there is no value 'cuont' here"),
        ("1 + arg9", 4, "there is no arg9 here: 'f' has 3 arguments, arg0 to arg2"),
        ("pid == \"x\"", 0, "'pid' is not a text"),
        ("comm < \"x\"", 5, "texts can only be compared with '==' and '!='"),
        ("comm == \"0123456789abcdef\"", 8, "a text of more than 15 bytes can't be compared"),
        ("1 + str(buf)", 4, "'str(buf)' is a text where a number is expected"),
        ("arg1->x", 6, "'arg1' is a number of 1 bytes, so it has no member 'x'"),
        ("count->x", 0, "'count' is not a pointer"),
        ("*pid", 1, "the type that 'pid' points to is unknown"),
        ("str(1)", 4, "'1' is not the address of a text"),
        ("(struct sock *)arg1", 0, "this kernel has no type information, so there are no structs"),
        ("comm", 0, "the name 'comm' can only be compared; every row has it anyway"),
    ] {
        let (place, said) = wrong(text);
        assert_eq!((place, said.as_str()), (at, message), "{text}");
    }
    let always = names(None).filter(&expression("1 == 1")).unwrap_err();
    assert_eq!(always.message, "the filter is always true");
    let hint = names(None).number(&expression("cuont")).unwrap_err().hint;
    assert!(hint.is_some_and(|hint| hint.contains("'count'")));
}

#[test]
fn code_has_bounds() {
    let (_, message) = wrong(&["pid"; 9].join(" + "));
    assert!(message.contains("takes 17 steps, more than 16"), "{message}");
    let (_, message) = wrong("pid + (tid + (uid + (cpu + (time + (pid + tid)))))");
    assert!(message.contains("holds 7 values at once, more than 6"), "{message}");
}

/// What the steps compute, where they need nothing but numbers.
fn run(steps: &[Step]) -> Option<i64> {
    let mut stack = Vec::new();
    for step in steps {
        let result = match step {
            Step::Number(number) => *number,
            Step::Who(_) => 5,
            Step::Unary(Unary::Not) => i64::from(stack.pop()? == 0),
            Step::Unary(Unary::Negate) => i64::wrapping_neg(stack.pop()?),
            Step::Unary(Unary::Invert) => !stack.pop()?,
            Step::Binary(operator) => {
                let right = stack.pop()?;
                super::operations::folded(*operator, stack.pop()?, right)
            }
            _ => return None,
        };
        stack.push(result);
    }
    let result = stack.pop()?;
    stack.is_empty().then_some(result)
}

fn arithmetic() -> impl Strategy<Value = String> {
    let leaf =
        proptest::prop_oneof![(-9i64..99).prop_map(|n| n.to_string()), proptest::prelude::Just("pid".to_owned())];
    leaf.prop_recursive(3, 7, 2, |inner| {
        let signs = ["+", "-", "*", "/", "%", "&", "|", "^", "<<", ">>", "<", "<=", "==", "!=", "&&", "||"];
        (inner.clone(), proptest::sample::select(signs.to_vec()), inner)
            .prop_map(|(left, sign, right)| format!("({left} {sign} {right})"))
    })
}

proptest! {
    /// What is computed beforehand is what the steps would compute.
    #[test]
    fn constants_change_nothing(text in arithmetic()) {
        let (folded, stepped) = (number(&text), number(&text.replace("pid", "5")));
        if let (Ok(folded), Ok(stepped)) = (folded, stepped) {
            let (one, other) = (run(&folded), run(&stepped));
            prop_assert!(one.is_some() && one == other, "{text}: {one:?} {other:?}");
        }
    }
}
