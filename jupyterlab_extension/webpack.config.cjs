// The default ids hash absolute paths, which would make the build depend on where the checkout lies.
module.exports = { optimization: { moduleIds: "natural", chunkIds: "natural" } };
