//! Makes thumbnails of pictures in a granted directory: a sync handler that computes.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use image::{ImageFormat, ImageReader, Limits, imageops::FilterType};
use windlass_guest::prelude::*;

windlass_guest::export!(thumbnail);

/// Where the operator's directory appears to the handler.
const PICTURES: &str = "/pictures";

/// A picture takes no more memory than this while it is decoded, in bytes, well below what the handler asks for: one
/// that needs more fails with a clear error instead of out of memory.
const MAX_DECODED_BYTES: u64 = 160 << 20;

/// Which picture to shrink, and how far.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Thumbnail {
    /// The picture, a path below `/pictures`: JPEG or PNG.
    pub source: String,
    /// The thumbnail's width in pixels; a narrower picture keeps its own.
    #[schemars(range(min = 1, max = 4096))]
    pub width: u32,
    /// Where to put it, a path below `/pictures/thumbnails`; the same as `source` where absent. Its ending, `.jpg` or
    /// `.png`, says which format it gets.
    #[serde(default)]
    pub target: Option<String>,
}

/// The thumbnail.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct Made {
    /// Where it is, a path below `/pictures`.
    pub path: String,
    /// Its width in pixels.
    pub width: u32,
    /// Its height in pixels.
    pub height: u32,
    /// Its size.
    pub bytes: u64,
    /// The picture's width in pixels.
    pub source_width: u32,
    /// The picture's height in pixels.
    pub source_height: u32,
    /// The picture's size.
    pub source_bytes: u64,
}

/// Makes a thumbnail of a JPEG or PNG picture and puts it below `/pictures/thumbnails`.
#[handler(max_attempts = 5, timeout = "30s", memory = "256MiB")]
pub fn thumbnail(ctx: &Context, args: Thumbnail) -> Result<Made, JobError> {
    let made = make(Path::new(PICTURES), &args)?;
    ctx.log_with(windlass_guest::Level::Info, format!("made {}", made.path), &made);
    Ok(made)
}

fn make(pictures: &Path, args: &Thumbnail) -> Result<Made, JobError> {
    let source = below(pictures, &args.source)?;
    let name = Path::new("thumbnails").join(args.target.as_deref().unwrap_or(&args.source));
    let target = below(pictures, &name.to_string_lossy())?;
    let format = ImageFormat::from_path(&target).or_fatal("bad-target")?;

    let source_bytes = fs::metadata(&source).map_err(|error| unreadable(&source, &error))?.len();
    let mut reader = ImageReader::open(&source)
        .and_then(ImageReader::with_guessed_format)
        .map_err(|error| unreadable(&source, &error))?;
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODED_BYTES);
    reader.limits(limits);
    let picture = reader.decode().or_fatal("bad-picture")?;

    let (source_width, source_height) = (picture.width(), picture.height());
    let width = args.width.clamp(1, source_width);
    let height = u64::from(source_height) * u64::from(width) / u64::from(source_width);
    let height = u32::try_from(height.max(1)).unwrap_or(u32::MAX);
    let small = picture.resize_exact(width, height, FilterType::Triangle);
    // JPEG has no transparency.
    let small = if format == ImageFormat::Jpeg { small.to_rgb8().into() } else { small };

    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder)?;
    }
    // A reader of the thumbnail never sees half of it, also where this attempt is stopped.
    let unfinished = target.with_extension("part");
    small.save_with_format(&unfinished, format)?;
    let bytes = fs::metadata(&unfinished)?.len();
    fs::rename(&unfinished, &target)?;
    Ok(Made {
        path: name.to_string_lossy().into_owned(),
        width,
        height,
        bytes,
        source_width,
        source_height,
        source_bytes,
    })
}

/// A file below a directory. The sandbox would refuse any other; this says it in better words.
fn below(directory: &Path, path: &str) -> Result<PathBuf, JobError> {
    let relative = Path::new(path);
    if path.is_empty() || !relative.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(JobError::fatal("bad-path", format!("`{path}` is not a path below the granted directory")));
    }
    Ok(directory.join(relative))
}

/// A picture that is not there will not come by waiting; anything else may pass.
fn unreadable(source: &Path, error: &io::Error) -> JobError {
    let message = format!("failed to read {}: {error}", source.display());
    match error.kind() {
        io::ErrorKind::NotFound => JobError::fatal("no-such-picture", message),
        _ => JobError::retry("unreadable", message),
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, RgbImage};

    use super::*;

    fn picture(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| Rgb([(x % 256) as u8, (y % 256) as u8, 128]))
    }

    fn args(source: &str, width: u32) -> Thumbnail {
        Thumbnail { source: source.into(), width, target: None }
    }

    #[test]
    fn a_thumbnail_keeps_the_shape_of_its_picture_and_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        picture(300, 200).save(folder.path().join("a.jpg")).unwrap();
        picture(100, 400).save(folder.path().join("b.png")).unwrap();
        let wide = make(folder.path(), &args("a.jpg", 90)).unwrap();
        let tall = make(folder.path(), &args("b.png", 20)).unwrap();
        assert_eq!((wide.width, wide.height, wide.source_width), (90, 60, 300));
        assert_eq!((tall.width, tall.height), (20, 80));
        let read = image::open(folder.path().join("thumbnails/a.jpg")).unwrap();
        assert_eq!((read.width(), read.height()), (90, 60));
        assert_eq!(wide.bytes, fs::metadata(folder.path().join(&wide.path)).unwrap().len());
    }

    #[test]
    fn a_small_picture_is_not_made_larger_and_may_change_its_format() {
        let folder = tempfile::tempdir().unwrap();
        picture(30, 20).save(folder.path().join("a.png")).unwrap();
        let args = Thumbnail { target: Some("small/a.jpg".into()), ..args("a.png", 900) };
        let made = make(folder.path(), &args).unwrap();
        assert_eq!((made.width, made.path.as_str()), (30, "thumbnails/small/a.jpg"));
        assert_eq!(ImageFormat::Jpeg, ImageReader::open(folder.path().join(made.path)).unwrap().format().unwrap());
    }

    #[test]
    fn what_no_attempt_can_mend_is_fatal() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("text.png"), "not a picture").unwrap();
        picture(3, 2).save(folder.path().join("a.png")).unwrap();
        let code = |args: &Thumbnail| match make(folder.path(), args) {
            Err(JobError::Fatal(failure)) => failure.code,
            other => panic!("expected a fatal error, got {other:?}"),
        };
        assert_eq!(code(&args("missing.png", 10)), "no-such-picture");
        assert_eq!(code(&args("../secret.png", 10)), "bad-path");
        assert_eq!(code(&args("/etc/passwd", 10)), "bad-path");
        assert_eq!(code(&args("text.png", 10)), "bad-picture");
        assert_eq!(code(&Thumbnail { target: Some("a.tiff.exe".into()), ..args("a.png", 1) }), "bad-target");
    }
}
