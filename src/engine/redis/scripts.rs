//! The scripts that run inside the server, each in one step.

use std::sync::LazyLock;

use redis::{Cmd, cmd};

/// A script, known to the server by its hash.
pub(super) struct Script {
    code: &'static str,
    hash: LazyLock<String>,
}

impl Script {
    /// Its text.
    fn code(&self) -> &'static str {
        self.code
    }

    /// What `EVALSHA` calls it.
    pub(super) fn hash(&self) -> &str {
        &self.hash
    }
}

macro_rules! scripts {
    ($($name:ident = [$($file:literal),+]),* $(,)?) => {
        $(pub(super) static $name: Script = {
            const CODE: &str = concat!($(include_str!($file)),+);
            Script { code: CODE, hash: LazyLock::new(|| redis::Script::new(CODE).get_hash().to_owned()) }
        };)*

        /// Every script.
        static ALL: &[&Script] = &[$(&$name),*];
    };
}

/// Works out every hash. To be called inside the fork gate: a child whose parent was just about to could never.
pub(super) fn prepare() {
    for script in ALL {
        LazyLock::force(&script.hash);
    }
}

/// The commands that make every script known.
pub(super) fn loading() -> impl Iterator<Item = Cmd> {
    ALL.iter().map(|script| cmd("SCRIPT").arg("LOAD").arg(script.code()).clone())
}

scripts! {
    COMMIT = ["scripts/overwrite.lua", "scripts/common.lua", "scripts/commit.lua"],
    SCAN = ["scripts/common.lua", "scripts/scan.lua"],
    COUNT = ["scripts/common.lua", "scripts/count.lua"],
    PURGE = ["scripts/common.lua", "scripts/purge.lua"],
    REMOVE = ["scripts/common.lua", "scripts/remove.lua"],
    NAMESPACES = ["scripts/common.lua", "scripts/namespaces.lua"],
    VERIFY = ["scripts/common.lua", "scripts/verify.lua"],
    SPACES = ["scripts/common.lua", "scripts/spaces.lua"],
    REGISTER = ["scripts/common.lua", "scripts/register.lua"],
    FORGET = ["scripts/common.lua", "scripts/forget.lua"],
}
