//! The files of a folder in the order of their names, which is not that in which a file system gives them.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use super::OWN;
use crate::engine::object::backing::Listed;

/// Adds the files below `root` whose names start with `prefix` and follow `after`, until there are `limit`.
pub(super) fn walk(root: &Path, prefix: &str, after: &str, limit: usize, found: &mut Vec<Listed>) -> io::Result<()> {
    below(root, "", prefix, after, limit, found)
}

fn below(
    folder: &Path,
    base: &str,
    prefix: &str,
    after: &str,
    limit: usize,
    found: &mut Vec<Listed>,
) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        let Ok(kind) = entry.file_type() else { continue };
        let own = entry.file_name();
        let Some(own) = own.to_str() else { continue };
        // The slash belongs to a folder's name: it sorts before and after what other names hold in its place.
        if kind.is_dir() && own != OWN {
            let name = format!("{base}{own}/");
            let may_hold = name.starts_with(prefix) || prefix.starts_with(&name);
            if may_hold && (name.as_str() > after || after.starts_with(&name)) {
                names.push((name, None));
            }
        } else if kind.is_file() {
            let name = format!("{base}{own}");
            if name.starts_with(prefix) && name.as_str() > after {
                names.push((name, Some(entry)));
            }
        }
    }
    names.sort_unstable_by(|(one, _), (two, _)| one.cmp(two));
    for (name, entry) in names {
        if found.len() >= limit {
            return Ok(());
        }
        match entry {
            None => below(&folder.join(name[base.len()..].trim_end_matches('/')), &name, prefix, after, limit, found)?,
            Some(entry) => match entry.metadata() {
                Ok(meta) => found.push(Listed { name, size: meta.len() }),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            },
        }
    }
    Ok(())
}
