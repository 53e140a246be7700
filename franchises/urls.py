from django.urls import path

from franchises.views import FranchiseViewSet, StoreViewSet

urlpatterns = [
    path("franchise", FranchiseViewSet.as_view({"get": "list", "post": "open"})),
    path("franchise/<id:pk>", FranchiseViewSet.as_view({"get": "of_user", "delete": "close"})),
    path("franchise/<id:franchise_id>/store", StoreViewSet.as_view({"post": "open"})),
    path("franchise/<id:franchise_id>/store/<id:store_id>", StoreViewSet.as_view({"delete": "close"})),
]
