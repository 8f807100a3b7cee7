//! The kernel's types: functions, raw tracepoints and structs out of its BTF, and that of its modules.

mod joined;

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use anyhow::Result;
use libbpf_rs::btf::Btf;
use libbpf_rs::btf::BtfKind;
use libbpf_rs::btf::BtfType;
use libbpf_rs::btf::TypeId;
use libbpf_rs::btf::types::Array;
use libbpf_rs::btf::types::Composite;
use libbpf_rs::btf::types::Enum;
use libbpf_rs::btf::types::Enum64;
use libbpf_rs::btf::types::Func;
use libbpf_rs::btf::types::FuncProto;
use libbpf_rs::btf::types::Int;
use libbpf_rs::btf::types::IntEncoding;
use libbpf_rs::btf::types::MemberAttr;
use libbpf_rs::btf::types::Typedef;

use self::joined::join;

/// Where the kernel shows its BTF.
pub(super) const DIRECTORY: &str = "/sys/kernel/btf";
/// How deep structs without names nest in others.
const MAX_NESTING: u8 = 16;

/// What is at an address or in a register.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// An integer, enumeration or truth value.
    Int { size: u8, signed: bool, big_endian: bool },
    /// A pointer to something.
    Pointer(Box<Shape>),
    /// A type by its number; what it is is looked at when it matters, since types refer to themselves.
    Type(u32),
    /// A struct or union by its number.
    Composite(u32),
    /// Some of the same.
    Array { of: Box<Shape>, count: usize },
    /// Nothing is known, or there is nothing to know, as of void; the text says how C calls it.
    Opaque(String),
}

impl Shape {
    /// A pointer to what is not known.
    pub(super) fn void_pointer() -> Shape {
        Shape::Pointer(Box::new(Shape::Opaque("void".to_owned())))
    }
}

/// A member of a struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    /// Bytes from the start of the outermost struct.
    pub(super) offset: u32,
    /// What it is.
    pub(super) shape: Shape,
    /// Of a bit field: bits from `offset`, and how many.
    pub(super) bits: Option<(u8, u8)>,
}

/// A function's parameter, or a field of a tracepoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parameter {
    /// Its name; empty where there is none.
    pub(super) name: String,
    /// What it is.
    pub(super) shape: Shape,
    /// As C writes its type.
    pub(super) type_name: String,
}

/// What a function takes and gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signature {
    /// What it takes.
    pub(super) parameters: Vec<Parameter>,
    /// What it gives; `None` is nothing.
    pub(super) returns: Option<Parameter>,
    /// It takes more than it says.
    pub(super) variadic: bool,
}

/// The BTF of the kernel, or of it and one module.
pub(super) struct Types {
    btf: Btf<'static>,
    functions: HashMap<String, u32>,
}

impl Types {
    /// Reads the kernel's, and with it a module's.
    ///
    /// # Errors
    /// There is none, or libbpf can't read it.
    pub(super) fn read(module: Option<&str>) -> Result<Types> {
        let base = Path::new(DIRECTORY).join("vmlinux");
        let btf = match module {
            None => Btf::from_path(&base)?,
            Some(module) => {
                let read =
                    |path: &Path| std::fs::read(path).with_context(|| format!("can't read '{}'", path.display()));
                let joined = join(&read(&base)?, &read(&Path::new(DIRECTORY).join(module))?)
                    .with_context(|| format!("the types of the module '{module}' do not fit the kernel's"))?;
                // libbpf reads a module's types by a call that its safe interface does not have, or files.
                let mut file = tempfile::NamedTempFile::new()?;
                file.write_all(&joined)?;
                Btf::from_path(file.path())?
            }
        };
        let functions = (1..u32::try_from(btf.len())?)
            .filter_map(|id| {
                let function: Func<'_> = btf.type_by_id(TypeId::from(id))?;
                Some((text(function.name()?), id))
            })
            .collect();
        Ok(Types { btf, functions })
    }

    /// What a function takes and gives.
    pub(super) fn function(&self, name: &str) -> Option<Signature> {
        let function: Func<'_> = self.get(*self.functions.get(name)?)?;
        Some(self.signature(&FuncProto::try_from(function.next_type()?).ok()?))
    }

    /// The names of all raw tracepoints.
    pub(super) fn raw_points(&self) -> Vec<String> {
        let typedefs = self.btf.type_by_kind::<Typedef<'_>>();
        let names = typedefs.filter_map(|typedef| Some(text(typedef.name()?)));
        let mut names: Vec<String> =
            names.filter_map(|name| name.strip_prefix("btf_trace_").map(str::to_owned)).collect();
        names.sort();
        names.dedup();
        names
    }

    /// What the kernel passes at a raw tracepoint, which must exist.
    pub(super) fn raw_point(&self, name: &str) -> Option<Vec<Parameter>> {
        // Its iterator has the parameters' names, its type may be all that there is.
        let signature = self.function(&format!("__traceiter_{name}")).or_else(|| {
            let wanted = format!("btf_trace_{name}");
            let mut typedefs = self.btf.type_by_kind::<Typedef<'_>>();
            let typedef = typedefs.find(|typedef| typedef.name() == Some(OsStr::new(&wanted)))?;
            let prototype = typedef.skip_mods_and_typedefs().next_type()?.skip_mods_and_typedefs();
            Some(self.signature(&FuncProto::try_from(prototype).ok()?))
        })?;
        // The first is what the probe registered with.
        Some(signature.parameters.into_iter().skip(1).collect())
    }

    fn signature(&self, prototype: &FuncProto<'_>) -> Signature {
        let mut parameters: Vec<Parameter> = prototype
            .iter()
            .map(|parameter| {
                let id = u32::from(parameter.ty);
                Parameter {
                    name: parameter.name.map(text).unwrap_or_default(),
                    shape: if id == 0 { Shape::Opaque(String::new()) } else { self.shape(id) },
                    type_name: self.name_of(id),
                }
            })
            .collect();
        let is_rest = |parameter: &Parameter| parameter.shape == Shape::Opaque(String::new());
        let variadic = parameters.pop_if(|last| is_rest(last)).is_some();
        let returns = prototype.next_type().filter(|kind| kind.kind() != BtfKind::Void).map(|kind| {
            let id = kind.type_id().into();
            Parameter { name: "retval".to_owned(), shape: self.shape(id), type_name: self.name_of(id) }
        });
        Signature { parameters, returns, variadic }
    }

    fn get<'a, K: TryFrom<BtfType<'a>>>(&'a self, id: u32) -> Option<K> {
        self.btf.type_by_id(TypeId::from(id))
    }

    /// What a type is.
    pub(super) fn shape(&self, id: u32) -> Shape {
        let Some(mut kind) = self.get::<BtfType<'_>>(id) else { return Shape::Opaque("void".to_owned()) };
        let mut big_endian = false;
        loop {
            let is_alias = matches!(
                kind.kind(),
                BtfKind::Typedef | BtfKind::Const | BtfKind::Volatile | BtfKind::Restrict | BtfKind::TypeTag
            );
            if !is_alias {
                break;
            }
            let name = kind.name().map(text);
            big_endian |= matches!(name.as_deref(), Some("__be16" | "__be32" | "__be64"));
            match kind.next_type() {
                Some(next) => kind = next,
                None => return Shape::Opaque("void".to_owned()),
            }
        }
        let id = u32::from(kind.type_id());
        match kind.kind() {
            BtfKind::Int => match Int::try_from(kind) {
                Ok(int) if int.bits <= 64 => {
                    let signed = matches!(int.encoding, IntEncoding::Signed | IntEncoding::Char);
                    Shape::Int { size: int.bits.div_ceil(8), signed, big_endian }
                }
                _ => Shape::Opaque(self.name_of(id)),
            },
            BtfKind::Enum => {
                let signed = Enum::try_from(kind).is_ok_and(|kind| kind.iter().any(|one| one.value < 0));
                Shape::Int { size: 4, signed: signed || self.small_enum_is_signed(id), big_endian: false }
            }
            BtfKind::Enum64 => {
                let signed = Enum64::try_from(kind).is_ok_and(|kind| kind.is_signed());
                Shape::Int { size: 8, signed, big_endian: false }
            }
            BtfKind::Ptr => {
                let to = kind.next_type().map(|kind| u32::from(kind.type_id())).filter(|id| *id != 0);
                Shape::Pointer(Box::new(to.map_or(Shape::Opaque("void".to_owned()), Shape::Type)))
            }
            BtfKind::Struct | BtfKind::Union => Shape::Composite(id),
            BtfKind::Array => Array::try_from(kind).map_or(Shape::Opaque(String::new()), |array| Shape::Array {
                of: Box::new(Shape::Type(array.ty().into())),
                count: array.capacity(),
            }),
            _ => Shape::Opaque(self.name_of(id)),
        }
    }

    fn small_enum_is_signed(&self, id: u32) -> bool {
        self.get::<Enum<'_>>(id).is_some_and(|kind| kind.is_signed())
    }

    /// What a shape is, when it is a type by its number.
    pub(super) fn seen(&self, shape: &Shape) -> Shape {
        match shape {
            Shape::Type(id) => self.shape(*id),
            other => other.clone(),
        }
    }

    /// Bytes that something takes; `None` where that is not known.
    pub(super) fn size(&self, shape: &Shape) -> Option<usize> {
        match self.seen(shape) {
            Shape::Int { size, .. } => Some(size.into()),
            Shape::Pointer(_) => Some(8),
            Shape::Composite(id) => {
                use libbpf_rs::btf::HasSize;
                Some(self.get::<Composite<'_>>(id)?.size())
            }
            Shape::Array { of, count } => self.size(&of)?.checked_mul(count),
            Shape::Type(_) | Shape::Opaque(_) => None,
        }
    }

    /// A member of a struct or union, also of those without a name inside it.
    pub(super) fn member(&self, of: u32, name: &str) -> Option<Member> {
        self.member_at(of, name, 0, MAX_NESTING)
    }

    fn member_at(&self, of: u32, name: &str, base: u32, nesting: u8) -> Option<Member> {
        let composite: Composite<'_> = self.get(of)?;
        for member in composite.iter() {
            let (bit, width) = match member.attr {
                MemberAttr::Normal { offset } => (offset, None),
                MemberAttr::BitField { size, offset } => (offset, Some(size)),
            };
            let shape = self.shape(member.ty.into());
            match member.name {
                Some(found) if found == OsStr::new(name) => {
                    return Some(match (width, self.size(&shape)) {
                        (Some(width), Some(size @ (1 | 2 | 4 | 8))) => bit_field(base, bit, width, size, shape),
                        _ => Member { offset: base.checked_add(bit / 8)?, shape, bits: None },
                    });
                }
                Some(_) => {}
                None => {
                    if let (Shape::Composite(inner), Some(left)) = (shape, nesting.checked_sub(1))
                        && let Some(found) = self.member_at(inner, name, base.checked_add(bit / 8)?, left)
                    {
                        return Some(found);
                    }
                }
            }
        }
        None
    }

    /// The names of a struct's members, with those of the ones without a name inside it.
    pub(super) fn members(&self, of: u32) -> Vec<String> {
        let mut names = Vec::new();
        self.members_at(of, MAX_NESTING, &mut names);
        names
    }

    fn members_at(&self, of: u32, nesting: u8, names: &mut Vec<String>) {
        let Some(composite) = self.get::<Composite<'_>>(of) else { return };
        for member in composite.iter() {
            match (member.name, nesting.checked_sub(1)) {
                (Some(name), _) => names.push(text(name)),
                (None, Some(left)) => {
                    if let Shape::Composite(inner) = self.shape(member.ty.into()) {
                        self.members_at(inner, left, names);
                    }
                }
                (None, None) => {}
            }
        }
    }

    /// A struct or union by name; one that is only declared does not count.
    pub(super) fn composite(&self, name: &str, is_struct: bool) -> Option<u32> {
        let mut all = self.btf.type_by_kind::<Composite<'_>>();
        let found = all.find(|one| one.is_struct == is_struct && one.name() == Some(OsStr::new(name)))?;
        Some(found.type_id().into())
    }

    /// An integer or other type that has one word for a name, as `sector_t`.
    pub(super) fn typedef(&self, name: &str) -> Option<Shape> {
        let mut all = self.btf.type_by_kind::<Typedef<'_>>();
        Some(self.shape(all.find(|one| one.name() == Some(OsStr::new(name)))?.type_id().into()))
    }

    /// The names of all structs, or of all unions.
    pub(super) fn composites(&self, structs: bool) -> Vec<String> {
        let all = self.btf.type_by_kind::<Composite<'_>>();
        all.filter(|one| one.is_struct == structs).filter_map(|one| Some(text(one.name()?))).collect()
    }

    /// The number of a constant of an enumeration.
    pub(super) fn constant(&self, name: &str) -> Option<i64> {
        let small = self.btf.type_by_kind::<Enum<'_>>().find_map(|kind| {
            let one = kind.iter().find(|one| one.name == Some(OsStr::new(name)))?;
            Some(one.value)
        });
        small.or_else(|| {
            self.btf.type_by_kind::<Enum64<'_>>().find_map(|kind| {
                let one = kind.iter().find(|one| one.name == Some(OsStr::new(name)))?;
                // Its bits count.
                i64::try_from(one.value).ok().or_else(|| u64::try_from(one.value).ok().map(u64::cast_signed))
            })
        })
    }

    /// A type as C writes it.
    pub(super) fn name_of(&self, id: u32) -> String {
        self.name_within(id, MAX_NESTING)
    }

    fn name_within(&self, id: u32, nesting: u8) -> String {
        let (Some(kind), Some(left)) = (self.get::<BtfType<'_>>(id), nesting.checked_sub(1)) else {
            return "void".to_owned();
        };
        let next = |nesting| {
            kind.next_type().map_or("void".to_owned(), |next| self.name_within(next.type_id().into(), nesting))
        };
        let name = kind.name().map(text);
        match kind.kind() {
            BtfKind::Void => "void".to_owned(),
            BtfKind::Const => format!("const {}", next(left)),
            BtfKind::Volatile | BtfKind::Restrict | BtfKind::TypeTag => next(left),
            BtfKind::Ptr => {
                let to = next(left);
                if to.ends_with('*') { format!("{to}*") } else { format!("{to} *") }
            }
            BtfKind::Struct => format!("struct {}", name.unwrap_or_default()),
            BtfKind::Union => format!("union {}", name.unwrap_or_default()),
            BtfKind::Fwd => format!("struct {}", name.unwrap_or_default()),
            BtfKind::Enum | BtfKind::Enum64 => format!("enum {}", name.unwrap_or_default()),
            BtfKind::FuncProto => "function".to_owned(),
            BtfKind::Array => Array::try_from(kind).map_or(String::new(), |array| {
                format!("{}[{}]", self.name_within(array.ty().into(), left), array.capacity())
            }),
            _ => name.unwrap_or_default(),
        }
    }
}

/// A bit field by the integer that holds it.
fn bit_field(base: u32, bit: u32, width: u8, size: usize, shape: Shape) -> Member {
    let unit = (8 * size) as u32;
    let mut offset = bit / unit * size as u32;
    if bit - 8 * offset + u32::from(width) > unit {
        // It reaches beyond the integer at that place, as packed ones may: counted from its own byte.
        offset = bit / 8;
    }
    let shift = u8::try_from(bit - 8 * offset).unwrap_or(0);
    Member { offset: base.saturating_add(offset), shape, bits: Some((shift, width)) }
}

fn text(name: &OsStr) -> String {
    name.to_string_lossy().into_owned()
}

#[cfg(test)]
#[path = "types/tests.rs"]
mod tests;
