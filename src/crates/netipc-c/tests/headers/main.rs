//! The headers and the library must say the same: names, signatures, layouts and numbers.
//!
//! The Rust side is read from the sources and written down again in C, next to the headers; the C
//! compiler then says whether both agree. What is exported is read from the library. See [`system`] for
//! how to test another system's.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod system;
mod wire;

use system::System;

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

#[test]
fn the_library_exports_what_the_headers_declare_and_nothing_else() {
    let exported = System::chosen().exported();
    assert!(exported.len() > 100, "hardly anything is exported");
    let differing: Vec<_> = exported.symmetric_difference(&declared()).cloned().collect();
    assert!(differing.is_empty(), "{differing:?}");
}

#[test]
fn signatures_are_the_same_in_both() {
    let functions = functions();
    let names: BTreeSet<_> = functions.iter().map(|function| function.name.clone()).collect();
    let differing: Vec<_> = names.symmetric_difference(&declared()).cloned().collect();
    assert!(differing.is_empty(), "{differing:?}");
    let prototypes: String = functions.iter().map(Function::prototype).collect();
    compile(&prototypes);
}

#[test]
fn structs_lie_in_memory_the_same_in_both() {
    let structs = structs();
    assert!(structs.len() > 40, "only {} structs were found", structs.len());
    compile(&structs.iter().map(Struct::assertions).collect::<String>());
}

#[test]
fn numbers_are_the_same_in_both() {
    let mut numbers = constants();
    assert!(numbers.len() > 50, "only {} constants were found", numbers.len());
    numbers.extend(wire::numbers().into_iter().map(|(name, value)| (name.to_owned(), value)));
    let assertion = |(name, value): &(String, u64)| {
        format!("_Static_assert({name} == {value}ull, \"{name} is {value}\");\n")
    };
    compile(&numbers.iter().map(assertion).collect::<String>());
}

#[test]
fn a_difference_would_be_noticed() {
    let fails = |text: &str| compiles(text).is_err();
    assert!(fails("int nipc_header_encode(void);"));
    assert!(fails("_Static_assert(NIPC_ERR_OVERFLOW == 12, \"\");"));
    assert!(fails("_Static_assert(offsetof(nipc_header_t, flags) == 8, \"\");"));
    compiles("").unwrap();
}

/// A function of an `abi!` block.
struct Function {
    name: String,
    arguments: Vec<String>,
    returns: String,
}

impl Function {
    fn prototype(&self) -> String {
        let mut arguments = self.arguments.join(", ");
        if arguments.is_empty() {
            arguments = "void".into();
        }
        format!("{} {}({arguments});\n", self.returns, self.name)
    }
}

/// All functions that the library exports, as the sources say.
fn functions() -> Vec<Function> {
    let mut found = Vec::new();
    for text in sources() {
        for table in text.split("\nerror_codes! { ").skip(1) {
            let (ty, rest) = table.split_once(", ").unwrap();
            let name = rest.split_once(':').unwrap().0.into();
            let (arguments, returns) = (vec![ty.into()], "char const *".into());
            found.push(Function { name, arguments, returns });
        }
        for block in text.split("\nabi! {\n").skip(1) {
            let block = &block[..block.find("\n}\n").unwrap_or(block.len())];
            for part in block.split("\n    fn ").map(|part| part.trim_start_matches("    fn ")) {
                let Some((name, rest)) = part.split_once('(') else { continue };
                if !name.starts_with("nipc_") {
                    continue;
                }
                let (arguments, rest) = rest.split_once(')').unwrap();
                let rest = rest.trim_start();
                let returns = rest.strip_prefix("-> ").map_or("void".into(), |rest| {
                    c_type(rest[..rest.find(", or(").unwrap()].trim())
                });
                let arguments = arguments.split(',').map(str::trim).filter(|a| !a.is_empty());
                let arguments = arguments.map(|a| c_type(a.split_once(": ").unwrap().1)).collect();
                found.push(Function { name: name.into(), arguments, returns });
            }
        }
    }
    found
}

/// A struct or union as C sees it.
struct Struct {
    keyword: &'static str,
    name: String,
    members: Vec<(String, String)>,
}

impl Struct {
    fn assertions(&self) -> String {
        let Struct { keyword, name, members } = self;
        let mut text = format!("{keyword} rust_{name} {{\n");
        for (member, ty) in members {
            text += &format!("    {};\n", declaration(ty, member));
        }
        text += "};\n";
        text += &format!(
            "_Static_assert(sizeof({keyword} rust_{name}) == sizeof({name}), \"size of {name}\");\n"
        );
        for (member, _) in members {
            text += &format!(
                "_Static_assert(offsetof({keyword} rust_{name}, {member}) == \
                 offsetof({name}, {member}), \"offset of {name}.{member}\");\n"
            );
        }
        text
    }
}

/// All structs that C shares with the library, as the sources say.
fn structs() -> Vec<Struct> {
    let mut found = Vec::new();
    let shared = [&SHARED[..], System::chosen().shared()].concat();
    for text in sources() {
        for (marker, keyword) in [("struct ", "struct"), ("union ", "union")] {
            for part in text.split(marker).skip(1) {
                let Some((head, rest)) = part.split_once('{') else { continue };
                let name = head.trim().trim_end_matches("::LAYOUT,").split(':').next().unwrap();
                let name = name.trim();
                if !name.starts_with("nipc_") && !shared.iter().any(|(own, _)| *own == name) {
                    continue;
                }
                let body = &rest[..rest.find("\n}").or(rest.find('}')).unwrap()];
                let members: Vec<_> = body.lines().filter_map(member).collect();
                if name == "nipc_cgroups_cache_snapshot_t" {
                    continue; // never seen by C but as a pointer
                }
                let names = shared.iter().find(|(own, _)| *own == name);
                for name in names.map_or(vec![name], |(_, names)| names.to_vec()) {
                    found.push(Struct { keyword, name: name.into(), members: members.clone() });
                }
            }
        }
    }
    found
}

/// Structs of Rust that are several of C.
const SHARED: [(&str, &[&str]); 3] = [
    ("RequestView", &["nipc_cgroups_lookup_req_view_t", "nipc_apps_lookup_req_view_t"]),
    ("ReplyView", &["nipc_cgroups_lookup_resp_view_t", "nipc_apps_lookup_resp_view_t"]),
    ("Builder", &["nipc_cgroups_lookup_builder_t", "nipc_apps_lookup_builder_t"]),
];

/// A line of a struct: the name and the type of a member.
fn member(line: &str) -> Option<(String, String)> {
    let line = line.trim().trim_end_matches(',');
    let line =
        line.strip_prefix("pub(").and_then(|line| line.split_once(") ")).map_or(line, |l| l.1);
    if line.starts_with("//") || line.starts_with('#') {
        return None;
    }
    let (name, ty) = line.split_once(": ")?;
    Some((name.into(), ty.split(" = ").next()?.into()))
}

/// A member in C.
fn declaration(ty: &str, name: &str) -> String {
    match ty.strip_prefix('[') {
        Some(array) => {
            let (element, count) = array.trim_end_matches(']').split_once("; ").unwrap();
            format!("{} {name}[{count}]", c_type(element))
        }
        None => format!("{} {name}", c_type(ty)),
    }
}

fn c_type(rust: &str) -> String {
    let rust = rust.trim();
    if let Some(target) = rust.strip_prefix("*const ") {
        return format!("{} const *", c_type(target));
    }
    if let Some(target) = rust.strip_prefix("*mut ") {
        return format!("{} *", c_type(target));
    }
    match rust {
        "u8" => "uint8_t",
        "u16" | "AtomicU16" => "uint16_t",
        "u32" | "AtomicU32" => "uint32_t",
        "u64" => "uint64_t",
        "usize" => "size_t",
        "bool" | "AtomicBool" => "bool",
        "i32" | "c_int" | "RawFd" | "AtomicI32" => "int",
        "c_char" => "char",
        "c_void" => "void",
        "UnsafeCell<libc::pthread_mutex_t>" => "pthread_mutex_t",
        "UnsafeCell<CRITICAL_SECTION>" => "CRITICAL_SECTION",
        "libc::pthread_t" => "pthread_t",
        "Self" => "void",
        named => System::chosen().name(named),
    }
    .into()
}

/// Numbers that the sources give a name of the headers.
fn constants() -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for text in sources() {
        for line in text.lines().map(str::trim) {
            let line = line
                .strip_prefix("pub(crate) ")
                .or(line.strip_prefix("pub(super) "))
                .unwrap_or(line);
            let line = line.strip_prefix("const ").unwrap_or(line);
            let Some((name, value)) = line.split_once(" = ") else { continue };
            let name = name.split(':').next().unwrap();
            let digits: String = value.chars().take_while(char::is_ascii_digit).collect();
            if name.starts_with("NIPC_") && !digits.is_empty() {
                found.push((name.into(), digits.parse().unwrap()));
            }
        }
    }
    found
}

/// Every function that the headers declare, but those that test programs define themselves.
fn declared() -> BTreeSet<String> {
    let text = run(compiler().args(["-E", "-P", "-x", "c"]).arg(include_all()));
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = BTreeSet::new();
    for (at, _) in text.match_indices('(') {
        let before = text[..at].trim_end();
        let start = before.rfind(|c| !is_word(c)).map_or(0, |at| at + 1);
        // A type before a parenthesis is that of a pointer to functions.
        if before[start..].starts_with("nipc_") && !before.ends_with("_t") {
            found.insert(before[start..].to_owned());
        }
    }
    found.retain(|name| !name.starts_with("nipc_shm_test_fault_"));
    found
}

/// Those of the system that is tested.
fn sources() -> Vec<String> {
    fn visit(dir: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => visit(&path, found),
                false if System::chosen().has(path.strip_prefix(root()).unwrap()) => {
                    found.push(fs::read_to_string(path).unwrap());
                }
                false => {}
            }
        }
    }
    let mut found = Vec::new();
    visit(&root(), &mut found);
    found
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn compiler() -> Command {
    let compiler = env::var_os("CC").unwrap_or(System::chosen().compiler().into());
    let mut compiler = Command::new(compiler);
    let include = Path::new(env!("CARGO_MANIFEST_DIR")).join("include");
    compiler.args(["-std=c11", "-DNIPC_INTERNAL_TESTING", "-I"]).arg(include);
    compiler
}

fn include_all() -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("all.c");
    fs::write(&path, "#include \"netipc/netipc_service.h\"\n").unwrap();
    path
}

fn compile(text: &str) {
    if let Err(complaint) = compiles(text) {
        panic!("{complaint}");
    }
}

/// Compiles some C after the headers; what the compiler said if it cannot.
fn compiles(text: &str) -> Result<(), String> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = path.join(format!("{:?}.c", std::thread::current().id()));
    fs::write(&path, format!("#include \"netipc/netipc_service.h\"\n{text}")).unwrap();
    let output = compiler().args(["-Werror", "-fsyntax-only"]).arg(&path).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(complaint) }
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
