"""Parts of pictures: colour maps, sheets of feature maps, titles, legends, array files."""
