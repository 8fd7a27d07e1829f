// What the products of matmul.inl and dot_*.inl share.
namespace gpt2 {
namespace {

// Where the weights of the next group of panels stand, and which part of the row tiles this one is: the tiles of a group share the
// work of fetching the next one, so that reading goes on while the later tiles compute from cache.
struct Ahead {
  const unsigned char* panel;  // nullptr: none
  size_t tile, n_tiles;
};

}  // namespace
}  // namespace gpt2
